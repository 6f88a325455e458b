"""What a loop began with, as plain data and tensors: a checkpoint of a pilot run goes back there in another process."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from stepsize.adapters.torch import generators
from stepsize.adapters.torch.epochs import own_generators
from stepsize.adapters.torch.snapshots import GENERATORS, resumable
from stepsize.kernel.errors import DriveError


def beginning(things: Sequence[Any]) -> dict[str, Any]:
    """Return what `things` hold now, and where the process-wide generators are.

    Of a thing that is neither a tensor nor a generator nor has `state_dict` nothing is kept, and a warning says so.
    """
    return {"things": [_state(each) for each in things], "generators": generators.process_wide()}


def go_back(things: Sequence[Any], state: Mapping[str, Any]) -> None:
    """Put `things` and the generators to what `beginning` returned; raise DriveError where there are others."""
    saved = state["things"]
    if len(saved) != len(things):
        raise DriveError(
            f"this checkpoint keeps {len(saved)} things that the loop changes, and {len(things)} are given. Give what "
            "was given then: stepsize.tune(model, optimizer, loader, scaler, ...)."
        )
    for thing, own in zip(things, saved, strict=True):
        if own is not None:
            _set(thing, own)
    generators.set_process_wide(state["generators"])


def _state(thing: Any) -> Any:
    if isinstance(thing, DataLoader):
        return [each.get_state() for each in own_generators(thing)]
    if isinstance(thing, torch.Tensor):
        return thing.detach().clone()
    if isinstance(thing, GENERATORS):
        return generators.state_of(thing)
    if resumable(thing):
        return copy.deepcopy(thing.state_dict())
    if thing is not None:
        warnings.warn(
            f"a checkpoint of a pilot run cannot keep a {type(thing).__name__}, which has no state_dict; the run that "
            "goes on from it begins with the one that it finds.",
            stacklevel=4,
        )
    return None


def _set(thing: Any, saved: Any) -> None:
    if isinstance(thing, DataLoader):
        for own, state in zip(own_generators(thing), saved, strict=True):
            own.set_state(state)
    elif isinstance(thing, torch.Tensor):
        with torch.no_grad():
            thing.copy_(saved)
    elif isinstance(thing, GENERATORS):
        generators.set_state(thing, saved)
    else:
        thing.load_state_dict(copy.deepcopy(saved))
