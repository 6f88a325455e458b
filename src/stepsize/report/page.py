"""The page itself: HTML that can be read without script or network, the same bytes for the same results."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from stepsize.kernel.errors import ParameterError
from stepsize.kernel.optional import need, need_all
from stepsize.kernel.output_files import write
from stepsize.kernel.spec import Spec
from stepsize.report.articles import articles
from stepsize.report.pictures import ID_PREFIX

HERE = Path(__file__).parent
SCRIPTS = ("vendor/uPlot.LICENSE", "vendor/uPlot.iife.min.js", "charts.js")
"""What the page's one script is made of, in order."""


class Script(NamedTuple):
    """The page's script, and its hash, by which the page's policy allows it and nothing else."""

    text: Any
    hash: str


def render(*results: Spec, framework: str = "torch") -> str:
    """Return one self-contained HTML page about `results`.

    results: an Advice mainly; also a Race, Curves, a Sweep (with the Suggestion that follows it), a Descent,
        a Refinement, a Prediction, a schedule, a policy.
    framework: whose code an advice brings, as `Advice.code` takes it; where there is none, the page says why.

    Raises ParameterError when there are none, MissingPackageError without matplotlib or jinja2.
    """
    if not results:
        raise ParameterError("a report needs at least one result: render(advice).")
    need_all(["jinja2", "matplotlib"])
    found = articles(results, framework)
    title = found[0].title if len(found) == 1 else f"{len(found)} results"
    template = _environment().get_template("page.html.jinja")
    script = _script() if any(each.live for each in found) else None
    page: str = template.render(title=title, articles=found, machine=machine(), script=script)
    return page


def write_report(path: str | os.PathLike[str], *results: Spec, framework: str = "torch") -> Path:
    """Write the page about `results` to `path`; the file is there whole or not at all.

    path: the HTML file. results, framework: as in `render`. Returns the path.

    Raises what `render` raises, and FormatError when the file cannot be written.
    """
    return write(path, render(*results, framework=framework))


def machine() -> str:
    """Return what the page was made on, in one line."""
    processors = f"{os.cpu_count() or 1} processors"
    return f"{platform.system()} {platform.machine()}, {processors}, Python {platform.python_version()}"


def _script() -> Script:
    """Return uPlot, under its licence, and what makes charts of the page's pictures with it."""
    licence, library, own = ((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    text = f"\n/*\n{licence.strip()}\n*/\n{library.strip()}\n{own.strip()}\n"
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Script(need("markupsafe").Markup(text), f"sha256-{digest}")


def _environment() -> Any:
    jinja2 = need("jinja2")
    markup = need("markupsafe").Markup
    numbers = count(1)

    def inline(svg: str, label: str) -> Any:
        """Return the markup of a picture, with a name for screen readers and ids that no other picture has."""
        head = markup('<svg role="img" aria-label="{}"').format(label)
        return head + markup(svg.removeprefix("<svg").replace(ID_PREFIX, f"p{next(numbers)}-"))

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
    )  # fmt: skip
    environment.globals["inline"] = inline
    return environment
