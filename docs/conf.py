# ruff: noqa: INP001  (Sphinx reads it by its path)
"""The documentation site, from the pages of this repository and the docstrings: `make docs`.

The sources are the repository's own pages, read from its root, so that a link between two of them is the same here and
on a code host; the pages of the API are written anew for each build, from the names that the packages export.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
os.environ.setdefault("KERAS_BACKEND", "torch")

project = "stepsize"
author = "The stepsize authors"
copyright = author  # noqa: A001  (Sphinx's name)
version = release = importlib.metadata.version("stepsize")

root_doc = "docs/index"
include_patterns = ["docs/**", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "bench/README.md"]
exclude_patterns = ["docs/README.md"]  # what `docs/index.md` is on a code host
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton"]

html_theme = "furo"
html_title = "stepsize"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {"sidebar_hide_name": False, "navigation_with_keys": True}
html_copy_source = False
copybutton_prompt_text = ">>> "
copybutton_exclude = ".linenos, .gp, .go"

myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath", "html_image"]
nb_execution_mode = "off"  # the tests execute them; their outputs are kept in the files
suppress_warnings = ["myst.header", "myst.strikethrough"]

default_role = "code"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": True}

PACKAGES = {
    "stepsize": "What most programs need, by itself.",
    "stepsize.schedules": "A hyperparameter as a pure function of the step.",
    "stepsize.policies": "How each hyperparameter moves, and the recipes that make a policy of its peak.",
    "stepsize.policies.dialects.pytorch": "The curves of torch's schedulers, under its own names.",
    "stepsize.policies.dialects.transformers": "The curves of transformers, under its own names.",
    "stepsize.policies.dialects.optax": "The curves of optax, under its own names.",
    "stepsize.policies.dialects.keras": "The curves of Keras, under its own names.",
    "stepsize.policies.dialects.timm": "The curves of timm, under its own names.",
    "stepsize.policies.dialects.fastai": "The curves of fastai, under its own names.",
    "stepsize.rules": "How gradients become updates.",
    "stepsize.problems": "Tasks: a model, a loss and data; and test functions.",
    "stepsize.jobs": "The range test, the race, the advice and what goes with them.",
    "stepsize.results": "What jobs give: to be read, saved, plotted and reported.",
    "stepsize.engines": "How trials are computed.",
    "stepsize.execution": "Where trials run, and what is kept.",
    "stepsize.adapters.torch": "Policies in a loop of torch.",
    "stepsize.adapters.lightning": "Policies in Lightning's Trainer.",
    "stepsize.adapters.transformers": "Policies in the Trainer of transformers.",
    "stepsize.adapters.keras": "Policies in Keras.",
    "stepsize.adapters.optax": "Strategies as gradient transformations.",
    "stepsize.adapters.ignite": "Policies in Ignite's engine.",
    "stepsize.callbacks.lightning": "A Lightning training that finds its rate first.",
    "stepsize.callbacks.transformers": "A training of transformers that finds its rate first.",
    "stepsize.callbacks.keras": "A training of Keras that finds its rate first.",
    "stepsize.diagnostics": "Instruments held to a model or a training.",
    "stepsize.theory": "Bounds, stability and the laws of loss curves.",
    "stepsize.plots": "Pictures of everything.",
    "stepsize.report": "Results as one self-contained page.",
    "stepsize.testing": "The laws that schedules, rules and tasks of yours are held to.",
    "stepsize.kernel.errors": "What is raised on purpose.",
}
"""The public packages and modules, with what each is for."""


INDEX = """\
API reference
=============

Every public name, from its docstring.

.. toctree::
   :maxdepth: 1

{listed}
"""


def public_names(module: Any) -> list[str]:
    """Return the public classes and functions of a package, by name: its own, and those that it exports."""
    inside = module.__name__
    found = []
    for name in dir(module):
        value = None if name.startswith("_") else getattr(module, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        home = value.__module__
        if home == inside or (home.startswith("stepsize.") and Path(str(module.__file__)).name == "__init__.py"):
            found.append(name)
    return sorted(found, key=str.lower)


def write_api(app: Any) -> None:
    """Write a page for each package before the sources are read."""
    folder = ROOT / "docs" / "api"
    folder.mkdir(exist_ok=True)
    pages = {}
    for name, line in PACKAGES.items():
        module = importlib.import_module(name)
        entries = [_entry(name, each, getattr(module, each)) for each in public_names(module)]
        pages[name] = f"{name}\n{'=' * len(name)}\n\n{line}\n\n" + "\n".join(entries)
    listed = "\n".join(f"   {name}" for name in pages)
    pages["index"] = INDEX.format(listed=listed)
    for name, text in pages.items():
        path = folder / f"{name}.rst"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.glob("*.rst"):
        if path.stem not in pages:
            path.unlink()
    del app


SEEN: dict[Any, str] = {}
"""Where each class and function is described; elsewhere it is named."""


def _entry(package: str, name: str, value: Any) -> str:
    if value in SEEN:
        return f".. rubric:: {name}\n\nSee :doc:`{SEEN[value]}`.\n"
    SEEN[value] = package
    kind = "autoexception" if isinstance(value, type) and issubclass(value, BaseException) else (
        "autoclass" if isinstance(value, type) else "autofunction"
    )  # fmt: skip
    return f".. {kind}:: {package}.{name}\n"


PARAMETER = re.compile(r"^(?!torch:|optax:|https?:)([a-z_]\w*(?:, [a-z_]\w*)*): (?=\S)")
"""A line that says what parameters are; conventions of torch and optax are said in the same form."""


def lay_out(*given: Any) -> None:
    """Turn the lines of a docstring, the last that is given, that say what a parameter is into a list."""
    lines: list[str] = given[-1]
    found: list[str] = []
    listing = False
    for line in lines:
        match = PARAMETER.match(line)
        if match:
            found += [] if listing else [""]
            found.append(f"* **{match[1]}**: {line[match.end() :]}")
            listing = True
        elif listing and line.strip() and not line.startswith(" "):
            found.append(f"  {line}")
        else:
            listing = listing and bool(line.strip())
            found.append(line if not listing else f"  {line.strip()}")
    lines[:] = found


def turn_anchors(app: Any, name: str, content: list[str]) -> None:
    """Turn a page's own anchors, which code hosts know, into targets that are looked up."""
    del app, name
    content[0] = re.sub(r'^<a id="([^"]+)"></a>\n*', r"(\1)=\n", content[0], flags=re.MULTILINE)
    content[0] = re.sub(r'<a id="([^"]+)"></a>', r"[]{#\1}", content[0])


def setup(app: Any) -> None:
    """Connect what is done before and while the sources are read."""
    app.connect("builder-inited", write_api)
    app.connect("source-read", turn_anchors)
    app.connect("autodoc-process-docstring", lay_out)
