# ruff: noqa: INP001  (a script, not a package)
"""Write docs/catalogue: every schedule and every policy with its picture, formula, fields, source and JSON.

    python scripts/catalogue.py [--check]

All of it comes from the catalogue of kinds, their annotations and their docstrings, so a new schedule or recipe needs
no edit here; run this again. With --check nothing is written, and the exit code says whether the page is up to date.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import types
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from catalogue_examples import RUN, example
from catalogue_pictures import svg

from stepsize.kernel.errors import SpecError
from stepsize.kernel.spec import encode, hints
from stepsize.policies import LR, RECIPES, Policy
from stepsize.results.io import CATALOGUE
from stepsize.schedules import Schedule

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "catalogue"
PAGE = FOLDER / "README.md"
BIBLIOGRAPHY = ROOT / "docs" / "references.bib"

PEAK = 0.1
CITATION = re.compile(r"\[([a-z]+\d{4}[a-z0-9]+)(?:, ([^\]]+))?\]")
WATCH_OUT = "Watch out:"

HEAD = """\
<!-- Made by scripts/catalogue.py from the catalogue and its docstrings; do not edit it by hand. -->
<!-- fmt: off -->

# The catalogue

Every schedule and every policy, with what it looks like over a run of {run} steps.
A *schedule* is one curve; a *policy* has a schedule for each hyperparameter that it moves.
Each policy here is made from one learning rate, its peak.
In the pictures the learning rate is the blue line.
Momentum, where a policy moves it, is the dashed red one, with its own scale at the right.

`stepsize show NAME` draws any of them in the terminal, `stepsize show NAME NAME --plot x.png` several in one picture.
A length is `500` (steps, optimizer updates), a share of the run such as `"30%"`, or `"rest"`.
The JSON is what `stepsize.save` writes inside its envelope `{{"stepsize": 1, "value": ...}}`.
"""


def main() -> None:
    """Write the page and its pictures, or check them."""
    text, pictures = page(), dict(drawings())
    if "--check" in sys.argv[1:]:
        stale = not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text
        sys.exit("docs/catalogue is out of date: run python scripts/catalogue.py" if stale else 0)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in set(FOLDER.glob("*.svg")) - {FOLDER / name for name in pictures}:
        old.unlink()
    for name, drawing in pictures.items():
        (FOLDER / name).write_text(drawing, encoding="utf-8")
    PAGE.write_text(text, encoding="utf-8")


def drawings() -> Iterator[tuple[str, str]]:
    """Yield the file name and the text of every picture."""
    for name, kind in CATALOGUE.of(Schedule).items():
        value, run = example(kind)
        yield f"{name}.svg", svg(Policy(**{LR: value}).over(run), run, name)
    for name, recipe in RECIPES.items():
        yield f"policy_{name}.svg", svg(recipe(PEAK).over(RUN), RUN, name)


def page() -> str:
    """Return the text of the page."""
    schedules, recipes = CATALOGUE.of(Schedule), RECIPES
    parts = [HEAD.format(run=RUN)]
    parts += ["## Contents\n", _index("Policies", recipes), _index("Schedules", schedules)]
    parts += ["## Policies\n", *(_policy(name, recipe) for name, recipe in recipes.items())]
    parts += ["## Schedules\n", *(_schedule(name, kind) for name, kind in schedules.items())]
    parts += ["## Sources\n", *_sources("\n".join(parts))]
    return "\n".join(parts) + "\n"


def _index(family: str, members: Any) -> str:
    links = ", ".join(f"[{name}](#{_anchor(family, name)})" for name in members)
    return f"{family}: {links}.\n"


def _anchor(family: str, name: str) -> str:
    return f"{'policy' if family == 'Policies' else 'schedule'}-{name.lower()}"


def _policy(name: str, recipe: Callable[..., Policy]) -> str:
    parameters = inspect.signature(recipe).parameters.values()
    rows = [
        (parameter.name, _signature(parameter.annotation), "" if _empty(parameter.default) else repr(parameter.default))
        for parameter in parameters
    ]
    made = recipe(PEAK)
    code = f"{name}({PEAK})\n# {made!r}"
    title = Title(name, _anchor("Policies", name), f"policy_{name}.svg")
    return _entry(title, recipe, rows, f"```python\n{code}\n```\n", made)


def _empty(value: object) -> bool:
    return value is inspect.Parameter.empty


def _signature(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _schedule(name: str, kind: type[Schedule]) -> str:
    declared = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]  # all are dataclasses
    rows = [
        (field, _allowed(hint), "" if declared[field] is MISSING else repr(declared[field]))
        for field, hint in hints(kind).items()
    ]
    value, run = example(kind)
    code = re.sub(r"<function (\w+) at 0x[0-9a-f]+>", r"\1", repr(value))
    over = "" if run == RUN else f"  # over {run} steps"
    title = Title(name, _anchor("Schedules", name), f"{name}.svg")
    return _entry(title, kind, rows, f"```python\n{code}{over}\n```\n", value)


class Title(NamedTuple):
    """What an entry is called, in the text, in links and as a picture."""

    name: str
    anchor: str
    picture: str


def _entry(title: Title, thing: Any, rows: list[tuple[str, str, str]], code: str, value: Any) -> str:
    text, warning = _documentation(thing, [row[0] for row in rows])
    table = "\n".join(f"| `{field}` | {_cell(allowed)} | {_code(default)} |" for field, allowed, default in rows)
    parts = [
        f'<a id="{title.anchor}"></a>\n\n### {title.name}\n\n![The curve of {title.name}]({title.picture})\n',
        f"{text}\n",
        f"> **Watch out:** {warning}\n" if warning else "",
        f"| field | what it may be | default |\n|---|---|---|\n{table}\n",
        code,
        f"<details><summary>JSON</summary>\n\n{_json(value)}\n\n</details>\n",
    ]
    return "\n".join(part for part in parts if part)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`" if text else "none: give one"


def _allowed(hint: Any) -> str:
    """Return what a field may be, as its annotation says."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return arguments[1].text
    if origin in (Union, types.UnionType):
        return " or ".join(_allowed(choice) for choice in arguments)
    if origin is Literal:
        return " or ".join(f"`{choice!r}`" for choice in arguments)
    if origin is tuple:
        return f"a list, each {_allowed(arguments[0])}"
    if isinstance(hint, type) and issubclass(hint, Schedule):
        return f"a {hint.noun}"
    plain = {float: "a number", int: "a whole number", str: "text", bool: "true or false", type(None): "`None`"}
    return plain.get(hint, "a function of the step")


def _documentation(thing: Any, names: list[str]) -> tuple[str, str]:
    """Return the docstring as Markdown without its examples, and its warning."""
    paragraphs = [part for part in (inspect.getdoc(thing) or "").split("\n\n") if not part.lstrip().startswith(">>>")]
    warnings = [part for part in paragraphs if part.startswith(WATCH_OUT)]
    kept = [_listed(part, names) for part in paragraphs if not part.startswith((WATCH_OUT, "Raises "))]
    warning = " ".join(_joined(part.removeprefix(WATCH_OUT)) for part in warnings)
    return _cited("\n\n".join(kept)), _cited(warning)


def _listed(paragraph: str, names: list[str]) -> str:
    """Return a paragraph with what explains fields (`start, end: ...`, and its indented lines) as a list."""
    one = "|".join(map(re.escape, sorted(names, key=len, reverse=True))) or "$^"
    explains = re.compile(rf"(?:^|(?<=\. ))((?:{one})(?:, (?:{one}))*): ")
    blocks: list[tuple[bool, str]] = []
    for line in re.sub(r"\n +", " ", paragraph).splitlines():
        if not explains.match(line):
            blocks.append((False, line))
            continue
        _, *found = explains.split(line)
        for names_of, text in zip(found[::2], found[1::2], strict=True):
            fields_named = ", ".join(f"`{name}`" for name in names_of.split(", "))
            blocks.append((True, f"- {fields_named}: {text.strip()}"))
    lines = [blocks[0][1]]
    for (before, _), (listed, text) in pairwise(blocks):
        lines += [text] if before == listed else ["", text]
    return "\n".join(lines)


def _joined(text: str) -> str:
    return " ".join(text.split())


def _cited(text: str) -> str:
    return CITATION.sub(lambda found: f"[[{found[1]}]](#{found[1]})" + (f", {found[2]}" if found[2] else ""), text)


def _json(value: Any) -> str:
    try:
        return f"```json\n{json.dumps(encode(value))}\n```"
    except SpecError:
        return "None: it holds a function, and a file holds no functions."


def _sources(text: str) -> list[str]:
    """Return an entry for every source that `text` cites."""
    entries = bibliography()
    keys = sorted(set(re.findall(r"\]\(#([a-z]+\d{4}[a-z0-9]+)\)", text)))
    return [f'- <a id="{key}"></a>[{key}] {reference(entries[key])}' for key in keys]


def bibliography() -> dict[str, dict[str, str]]:
    """Return the fields of every entry of docs/references.bib, by key."""
    entries = {}
    for block in re.split(r"^@", BIBLIOGRAPHY.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        key = block[block.index("{") + 1 : block.index(",")]
        found = re.findall(r"^\s*(\w+)\s*=\s*\{(.*?)\},?\s*$", block, flags=re.MULTILINE)
        entries[key] = {name.lower(): _plain(value) for name, value in found}
    return entries


ACCENTS = {'\\"': "\u0308", "\\'": "\u0301", "\\`": "\u0300", "\\^": "\u0302", "\\~": "\u0303", "\\c": "\u0327"}


def _plain(text: str) -> str:
    """Return LaTeX as text: its accents, its dashes, no braces."""
    for mark, accent in ACCENTS.items():
        text = re.sub(re.escape(mark) + r"\s?\{?(\w)\}?", lambda found, accent=accent: found[1] + accent, text)
    text = text.replace("\\L", "\u0141").replace("\\l", "\u0142").replace("\\o", "\u00f8").replace("\\&", "&")
    return unicodedata.normalize("NFC", re.sub(r"[{}]", "", text)).replace("--", "-")


def reference(entry: dict[str, str]) -> str:
    """Return an entry in a line: authors, title, where, year."""
    people = [person.partition(",")[0] for person in entry.get("author", "").split(" and ") if person]
    several = len(people) > 3 or people[-1:] == ["others"]
    head, last = ", ".join(people[:-1]), "".join(people[-1:])
    authors = f"{people[0]} et al." if several else f"{head} and {last}" if head else last
    where = entry.get("booktitle") or entry.get("journal") or entry.get("howpublished") or ""
    link = f"[arXiv:{entry['eprint']}](https://arxiv.org/abs/{entry['eprint']})" if "eprint" in entry else ""
    return (
        ", ".join(part for part in (authors, f"*{entry['title']}*", where, entry.get("year", ""), link) if part) + "."
    )


if __name__ == "__main__":
    main()
