"""What a notebook shows of a value: what it is, in a line, a few sentences where it has some, and its picture."""

from __future__ import annotations

import html
from typing import Any

from stepsize.kernel.text import short
from stepsize.policies import Policy
from stepsize.report.pictures import ID_PREFIX, draw
from stepsize.results import Advice, Race, Suggestion
from stepsize.schedules import Schedule
from stepsize.strategy import Strategy

LONGEST = 600
"""The most characters of the line: a table of every step has many more."""

SENTENCES = 4
"""The most sentences under the line."""

SIZE = (6.4, 3.8)
"""The size of a picture, in inches."""

FRAME = "max-width: 46em; font-family: sans-serif; font-size: 13px; line-height: 1.45"


def cell(value: Any) -> str:
    """Return the markup of a value: no script, no style sheet, and nothing outside of it."""
    kind = "code" if isinstance(value, Policy | Schedule) else "span"
    parts = [f"<p><b>{html.escape(value.noun)}</b> <{kind}>{html.escape(short(str(value), LONGEST))}</{kind}></p>"]
    said = _sentences(value)
    if said:
        parts.append(f"<ul>{''.join(f'<li>{html.escape(sentence)}</li>' for sentence in said[:SENTENCES])}</ul>")
    drawn = value.policy if isinstance(value, Strategy) else value
    if hasattr(drawn, "plot"):
        parts.append(_picture(drawn))
    return f'<div style="{FRAME}">{"".join(parts)}</div>'


def _sentences(value: Any) -> tuple[str, ...]:
    match value:
        case Advice():
            return (*value.warnings, *value.reasons)
        case Race():
            return value.sentences
        case Suggestion():
            return value.warnings
    return ()


def _picture(value: Any) -> str:
    """Return the picture of a value, on white, so that it is read in a dark notebook too."""
    picture = draw(lambda ax: value.plot(ax=ax), label=f"A picture of the {value.noun}", caption="", size=SIZE)
    number = f"n{id(value):x}-"
    svg = picture.svg.replace(ID_PREFIX, number).removeprefix("<svg")
    return f'<svg role="img" aria-label="{html.escape(picture.label)}" style="background: white; max-width: 46em"{svg}'
