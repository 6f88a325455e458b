"""Calls as they are written in one line: `SGD(momentum=0.9)` is a name with literal arguments, and nothing is run."""

from __future__ import annotations

import ast
import re
from typing import Any

from stepsize.kernel.errors import ParameterError, brief

OPENING, CLOSING, QUOTES = "([{", ")]}", "'\""

NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def parse_call(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the arguments of a call; a name by itself is a call without any.

    The arguments are named, and literals: numbers, texts, True, False, None, and tuples or lists of them.

    Raises ParameterError for anything else.

    >>> parse_call("torch.optim.SGD(momentum=0.9, nesterov=True)")
    ('torch.optim.SGD', {'momentum': 0.9, 'nesterov': True})
    >>> parse_call("SGD")
    ('SGD', {})
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        call = tree if isinstance(tree, ast.Call) else ast.Call(func=tree, args=[], keywords=[])
        name = ast.unparse(call.func)
        named = {each.arg: ast.literal_eval(each.value) for each in call.keywords if each.arg is not None}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise _refusal(text) from None
    if call.args or len(named) < len(call.keywords) or not NAME.fullmatch(name):
        raise _refusal(text)
    return name, named


def _refusal(text: str) -> ParameterError:
    return ParameterError(
        f"{brief(text)} is no name with arguments, as SGD(momentum=0.9) is: the arguments are named, and are numbers, "
        "texts, True, False, None, or tuples of them."
    )


def split_outside(text: str, separators: str) -> list[str]:
    """Return the parts of a text between separators that stand outside of all brackets and quotes; none is empty.

    >>> split_outside("SGD(momentum=0.9, nesterov=True) cosine 0.1, Lion wsd 0.01", ",")
    ['SGD(momentum=0.9, nesterov=True) cosine 0.1', 'Lion wsd 0.01']
    >>> split_outside("Adam(betas=(0.9, 0.95))  cosine 0.1", " ")
    ['Adam(betas=(0.9, 0.95))', 'cosine', '0.1']
    """
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in QUOTES:
            quote = letter
        elif letter in OPENING + CLOSING:
            depth = max(0, depth + (1 if letter in OPENING else -1))
        if not quote and not depth and letter in separators:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]
