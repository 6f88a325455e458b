"""The generators of random numbers that a training loop draws from: where they are now, and going there again."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

Generator = torch.Generator | np.random.Generator | random.Random


def process_wide() -> dict[str, Any]:
    """Return where the generators of Python, NumPy, torch and every CUDA device are.

    Plain data and tensors, for a checkpoint that `torch.load(weights_only=True)` reads.
    """
    numpy: Any = np.random.get_state()  # noqa: NPY002  (the user's code may use it)
    return {
        "python": random.getstate(),
        "numpy": [numpy[0], numpy[1].tolist(), *numpy[2:]],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None,  # type: ignore[no-untyped-call]  # torch has no types for it
    }


def set_process_wide(state: Mapping[str, Any]) -> None:
    """Put the process-wide generators to where they were."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(tuple(state["numpy"]))  # noqa: NPY002  (as above)
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state_all(state["cuda"])


def state_of(generator: Generator) -> Any:
    """Return where a generator is."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    return (
        generator.getstate() if isinstance(generator, random.Random) else copy.deepcopy(generator.bit_generator.state)
    )


def set_state(generator: Generator, state: Any) -> None:
    """Put a generator to where it was."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, random.Random):
        version, numbers, gauss = state
        generator.setstate((version, tuple(numbers), gauss))
    else:
        generator.bit_generator.state = state
