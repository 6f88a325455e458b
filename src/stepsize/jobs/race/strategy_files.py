"""Who races: strategies as they are written in a file, or in one line.

::

    [[strategies]]                      # TOML; in JSON a list of the same, or {"strategies": [...]}
    rule = "AdamW"                      # a name, or a spec: {kind = "AdamW", weight_decay = 0.1}
    policy = "one_cycle"                # a recipe, or a spec
    lrs = [0.003, 0.01, 0.03]           # or lr = 0.01; with a spec they may be left out

In one line it is `AdamW one_cycle 0.003 0.01, SGD cosine 0.1`; without a rule, `one_cycle 0.01`, it is AdamW.
A rule by name may have arguments, `AdamW(weight_decay=0.1)`; a dotted name is a class of torch's optimizers, which is
imported: `torch.optim.SGD(momentum=0.9)`.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stepsize.kernel.calls import split_outside
from stepsize.kernel.errors import FormatError, ParameterError, SpecError, StepsizeError, brief, check_name, suggestion
from stepsize.kernel.files import parse_json, read_text
from stepsize.policies import RECIPES, Policy
from stepsize.results.io import CATALOGUE
from stepsize.rules import AdamW, Rule
from stepsize.strategy import Strategy, distinguish, find_rule

WHITE = " \t\n\r\f\v"

LARGEST = 1 << 24
"""The largest file of strategies that is read, in bytes: a hundred thousand of them."""

FIELDS = ("rule", "policy", "lr", "lrs", "name")
"""What a short form may say."""

Written = tuple[str, Strategy]
"""A strategy, and where it was written."""


def read_strategies(source: str) -> list[Strategy]:
    """Return the strategies of a TOML or JSON file, or of one line.

    source: a path that ends in .toml or .json, or `RULE POLICY RATE ...` with commas between strategies.

    Raises SpecError with the path and the near miss, FormatError for a file that cannot be read, ParameterError for a
    line that says too little.

    >>> [strategy.name for strategy in read_strategies("AdamW one_cycle 0.003 0.01, cosine 0.1")]
    ['AdamW one_cycle 0.003', 'AdamW one_cycle 0.01', 'AdamW cosine 0.1']
    """
    if source.lower().endswith((".toml", ".json")):
        return _from_file(Path(source))
    if _is_file(source):
        raise FormatError(f"{source} is neither .toml nor .json; strategies come from one of these, or as a list.")
    lines = [split_outside(line, WHITE) for line in split_outside(source, ",")]
    written = [(repr(" ".join(tokens)), strategy) for tokens in lines for strategy in _from_line(tokens)]
    return _distinct(written)


def _is_file(source: str) -> bool:
    try:
        return Path(source).is_file()
    except OSError:  # a list may be longer than a name can be
        return False


def _from_file(file: Path) -> list[Strategy]:
    text = read_text(file, LARGEST)
    try:
        data = tomllib.loads(text) if file.suffix.lower() == ".toml" else parse_json(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{file} is not {file.suffix[1:].upper()}: {error}.") from None
    try:
        return _distinct([written for path, entry in _listed(data) for written in _entry(entry, path)])
    except SpecError as error:
        raise type(error)(f"{file}: {error}") from None


def _listed(data: Any) -> list[tuple[str, Any]]:
    """Return path and data of every entry of a file."""
    if isinstance(data, Mapping) and "stepsize" in data:
        return [("$.value", data.get("value"))]
    where, entries = "$", data
    if isinstance(data, Mapping):
        where, entries = "$.strategies", data.get("strategies")
        others = [name for name in data if name != "strategies"]
        if others:
            raise SpecError(f"at $: a file of strategies has no field {others[0]!r}. {suggestion(others[0], _TOP)}")
    if not isinstance(entries, list) or not entries:
        raise SpecError(f"at {where}: strategies are a list, with at least one of them, not {brief(entries)}.")
    return [(f"{where}[{i}]", entry) for i, entry in enumerate(entries)]


_TOP = ("strategies",)


def _entry(data: Any, path: str) -> list[Written]:
    """Return the strategies of one entry: a spec, or a short form with one rate or several."""
    if not isinstance(data, Mapping):
        raise SpecError(
            f'at {path}: a strategy is written {{"rule": ..., "policy": ..., "lr": ...}}, not {brief(data)}.'
        )
    if "kind" in data:
        return [(path, CATALOGUE.decode(data, Strategy, path))]
    for name in data:
        if name not in FIELDS:
            raise SpecError(f"at {path}: a strategy has no field {name!r}. {suggestion(name, FIELDS)}")
    for name in ("rule", "policy"):
        if name not in data:
            raise SpecError(f"at {path}: a strategy needs the field {name!r}, which is not there.")
    rule, rates = _rule(data["rule"], f"{path}.rule"), _rates(data, path)
    try:
        return [(path, each) for each in _strategies(rule, data["policy"], rates, path, str(data.get("name", "")))]
    except SpecError:
        raise
    except StepsizeError as error:
        raise SpecError(f"at {path}: {error}") from None


def _rule(data: Any, path: str) -> Rule:
    if not isinstance(data, str):
        return CATALOGUE.decode(data, Rule, path)
    try:
        return find_rule(data)
    except StepsizeError as error:
        raise SpecError(f"at {path}: {error}") from None


def _rates(data: Mapping[str, Any], path: str) -> list[float]:
    if "lr" in data and "lrs" in data:
        raise SpecError(f"at {path}: a strategy has one rate, lr, or several, lrs; not both.")
    rates = data["lrs"] if "lrs" in data else [data["lr"]] if "lr" in data else []
    field = f"{path}.{'lrs' if 'lrs' in data else 'lr'}"
    if not isinstance(rates, list) or ("lrs" in data and not rates):
        raise SpecError(f"at {field}: the rates are a list of numbers above 0, not {brief(rates)}.")
    for rate in rates:
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= sys.float_info.max:
            raise SpecError(f"at {field}: a learning rate is a number above 0, not {brief(rate)}.")
    return [float(rate) for rate in rates]


def _strategies(rule: Rule, policy: Any, rates: list[float], path: str, name: str) -> list[Strategy]:
    """Return a rule with a recipe or a policy at each of its rates."""
    if isinstance(policy, str):
        check_name(policy, RECIPES, "policy", at=f"at {path}.policy: ", error=SpecError)
        if not rates:
            raise SpecError(f"at {path}: the recipe {policy!r} needs its peak rate: add lr or lrs.")
    else:
        policy = CATALOGUE.decode(policy, Policy, f"{path}.policy")
    if not rates:
        return [Strategy.of(rule, policy, name=name)]
    return [Strategy.of(rule, policy, rate, name=name and f"{name} {rate:g}") for rate in rates]


def _from_line(tokens: list[str]) -> list[Strategy]:
    """Return what `RULE POLICY RATE ...` says; AdamW where there is no rule."""
    line = " ".join(tokens)
    if tokens[0] in RECIPES:
        tokens = [AdamW.__name__, *tokens]
    try:
        rule = find_rule(tokens[0])
    except ParameterError as error:
        raise ParameterError(f"in {line!r}: {error}") from None
    if len(tokens) < 2 or tokens[1] not in RECIPES:
        missing = f"its policy and peak rate are missing; write {line} one_cycle 0.01, for example."
        named = f"no policy is called {tokens[1]!r}. {suggestion(tokens[1], RECIPES)}" if tokens[1:] else missing
        raise ParameterError(f"in {line!r}: {named}")
    if len(tokens) < 3:
        raise ParameterError(f"in {line!r}: the peak rate is missing; write {' '.join(tokens)} 0.01, for example.")
    return [Strategy.of(rule, tokens[1], _rate(token, line)) for token in tokens[2:]]


def _rate(token: str, line: str) -> float:
    try:
        rate = float(token)
    except ValueError:
        rate = -1.0
    if not 0 < rate < float("inf"):
        raise ParameterError(f"in {line!r}: a learning rate is a number above 0, not {token!r}.")
    return rate


def _distinct(written: Iterable[Written]) -> list[Strategy]:
    """Return the strategies with a name each, or raise SpecError where two of them are equal."""
    seen: dict[Strategy, str] = {}
    for path, strategy in written:
        if strategy in seen:
            raise SpecError(f"at {path}: {strategy.name!r} is written already, at {seen[strategy]}; leave one out.")
        seen[strategy] = path
    return distinguish(seen)
