"""What the package promises as a whole: light imports, floors, small files, docstrings, sources that exist."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stepsize

ROOT = Path(__file__).parents[2]
FILES = sorted(Path(stepsize.__file__).parent.rglob("*.py"))
NAMES = [str(file.relative_to(Path(stepsize.__file__).parent)) for file in FILES]
files = pytest.mark.parametrize("file", FILES, ids=NAMES)

HEAVY = (
    "torch",
    "jax",
    "optax",
    "keras",
    "matplotlib",
    "scipy",
    "sklearn",
    "ray",
    "jinja2",
    "lightning",
    "transformers",
)
JOBS = """
import stepsize.jobs.refine, stepsize.jobs.race.race, stepsize.jobs.transfer
from stepsize import jobs
for name in ("advise", "race", "range_test", "refine", "transfer"):
    assert callable(getattr(jobs, name)), f"{name} is the module, and not the job of that name"
"""

LIGHT = [
    "import stepsize",
    "from stepsize.results import load",
    "import stepsize.testing",
    "import stepsize.theory",
    JOBS,
]


@pytest.mark.parametrize("statement", LIGHT)
def test_importing_loads_no_framework(statement):
    code = f"{statement}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_result_reopens_without_a_framework(tmp_path):
    """Reading and using a saved strategy loads nothing heavy either."""
    code = (
        "import sys, stepsize\n"
        "from stepsize.policies import one_cycle\n"
        "from stepsize.rules import AdamW\n"
        "path = sys.argv[1] + '/strategy.json'\n"
        "stepsize.save(stepsize.Strategy(AdamW(), one_cycle(0.1)).over(100), path)\n"
        "table = stepsize.load(path).policy.table(0, 100)\n"
        f"print(len(table['lr']), [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "100 []"


def test_imports_go_down_the_floors():
    """In a process of its own, since import-linter prints to streams that pytest closes."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


LAZY = [
    importlib.import_module(name)
    for name in ("stepsize", "stepsize.adapters.torch", "stepsize.engines", "stepsize.diagnostics")
]


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_what_is_loaded_later_is_what_type_checkers_see_and_is_there(package):
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == {name: f"{package.__name__}.{module}" for name, module in package._LATER.items()}
    for name, module in seen.items():
        assert getattr(package, name) is getattr(importlib.import_module(module), name)
        assert name in dir(package)


def test_driving_an_optimizer_loads_no_results():
    code = (
        "import sys, stepsize.adapters.torch.driver; print(*sorted(m for m in sys.modules if m.startswith('stepsize')))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert len(loaded) <= 41
    upper = ("results", "codegen", "strategy", "problems", "rules", "theory")
    assert not [name for name in loaded if name.split(".")[1:2] in ([floor] for floor in upper)]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'stepsize' has no attribute 'advize'"):
        stepsize.advize  # noqa: B018  (asking is the test)


@files
def test_a_file_has_at_most_400_lines_and_a_function_60(file):
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not {node.name: _lines(node) for node in functions if _lines(node) > 60}


def _lines(node):
    """How long a function is without its docstring."""
    first = node.body[0]
    documented = ast.get_docstring(node, clean=False) is not None
    return node.end_lineno - node.lineno + 1 - documented * (first.end_lineno - first.lineno + 1)


@files
def test_what_is_public_has_a_docstring(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the module has none"
    assert not [name for name, node in _public(tree) if not ast.get_docstring(node)]


def _public(tree, prefix=""):
    """The public classes, functions and methods of a module or class, by dotted name; overloads are only signatures."""
    for node in tree.body:
        if any(isinstance(each, ast.Name) and each.id == "overload" for each in getattr(node, "decorator_list", ())):
            continue
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from _public(node, f"{prefix}{node.name}.")


@files
def test_a_package_file_imports_and_does_nothing_else(file):
    if file.name != "__init__.py" or file in [Path(package.__file__) for package in LAZY]:
        return
    body = ast.parse(file.read_text(encoding="utf-8")).body[1:]
    assert all(isinstance(node, ast.ImportFrom) for node in body)
    assert all(alias.asname == alias.name for node in body for alias in node.names)


CITED = re.compile(r"\[([a-z]+\d{4}[a-z]+)\b")


@files
def test_every_cited_source_is_in_the_bibliography(file):
    keys = set(
        re.findall(r"^@\w+\{([^,\s]+),", (ROOT / "docs" / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert keys, "docs/references.bib has no entry"
    assert set(CITED.findall(file.read_text(encoding="utf-8"))) <= keys


@pytest.mark.parametrize("kind", [*stepsize.results.io.CATALOGUE.of(stepsize.Schedule).values()])
def test_a_schedule_says_what_to_watch_out_for_or_is_a_combinator(kind):
    combinators = {"Chain", "Product", "Scaled", "Sum", "Until"}
    assert "Watch out:" in kind.__doc__ or kind.__name__ in combinators


@pytest.mark.parametrize("kind", [*stepsize.results.io.CATALOGUE.of(stepsize.rules.Rule).values()])
def test_a_rule_says_what_to_watch_out_for(kind):
    assert "Watch out:" in kind.__doc__
