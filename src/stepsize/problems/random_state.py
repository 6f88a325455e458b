"""The generators that code of the user's own draws from, set aside for a while, so that two streams never mix."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from stepsize.kernel.optional import installed, need


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generators for a while, and leave them as they were, those of the GPUs too.

    Where torch is not installed there are none.
    """
    if not installed("torch"):
        yield
        return
    torch = need("torch")
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


@dataclass(frozen=True)
class Source:
    """A generator, by what can be done with it."""

    seed: Callable[[int], object]
    get: Callable[[], Any]
    put: Callable[[Any], object]


class RandomState:
    """A state of the global generators of Python, NumPy and torch (if it is there), in force inside of a `with`.

    It begins as they are seeded with `seed`. When it is entered again it goes on where it was left, and outside the
    generators are as they were: so a stream of random numbers may be interrupted by any other.

    owners: objects whose attributes are generators too, such as a sampler.

    Watch out: the generators of a GPU are left alone.

    >>> import random
    >>> stream, whole = RandomState(0), RandomState(0)
    >>> with stream: first = random.random()
    >>> with stream: second = random.random()
    >>> with whole: (random.random(), random.random()) == (first, second)
    True
    """

    def __init__(self, seed: int, owners: Iterable[object] = ()) -> None:
        owned = [source_of(value) for owner in owners for value in getattr(owner, "__dict__", {}).values()]
        self._sources = [*_global_sources(), *(source for source in owned if source is not None)]
        self._seed = seed
        self._outer: list[Any] = []
        self._inner: list[Any] = []
        self._fresh: list[Any] = []

    def __enter__(self) -> Self:
        """Put this state in force."""
        self._outer = [source.get() for source in self._sources]
        if self._inner:
            for source, state in zip(self._sources, self._inner, strict=True):
                source.put(state)
        else:
            for source in self._sources:
                source.seed(self._seed)
            self._fresh = [source.get() for source in self._sources]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Keep this state, and put back the one before."""
        self._inner = [source.get() for source in self._sources]
        for source, state in zip(self._sources, self._outer, strict=True):
            source.put(state)

    @property
    def drawn(self) -> bool:
        """Whether any number has been drawn while it was in force."""
        return pickle.dumps([source.get() for source in self._sources]) != pickle.dumps(self._fresh)


def source_of(value: object) -> Source | None:
    """Return a generator as a source, None for anything else."""
    if installed("torch") and isinstance(value, need("torch").Generator):
        return _of_torch(value)
    if isinstance(value, random.Random):
        return Source(value.seed, value.getstate, value.setstate)
    if isinstance(value, np.random.RandomState):
        return Source(lambda seed: value.seed(seed % 2**32), value.get_state, value.set_state)
    if isinstance(value, np.random.Generator):
        bits = value.bit_generator

        def put(state: Any) -> None:
            bits.state = state

        return Source(lambda seed: put(type(bits)(seed).state), lambda: bits.state, put)
    return None


def _of_torch(generator: Any) -> Source:
    from_numpy = need("torch").from_numpy
    return Source(
        generator.manual_seed,
        lambda: generator.get_state().numpy(),
        lambda state: generator.set_state(from_numpy(state)),
    )


def _global_sources() -> list[Source]:
    return [
        Source(random.seed, random.getstate, random.setstate),
        Source(  # the global generator is the one that other people's code draws from
            lambda seed: np.random.seed(seed % 2**32),  # noqa: NPY002
            np.random.get_state,
            np.random.set_state,
        ),
        *([_of_torch(need("torch").default_generator)] if installed("torch") else []),
    ]
