"""A DataLoader as a function of the seed and the step: its shuffling, its workers and its augmentation seeded."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import Any

from stepsize.kernel import seeds
from stepsize.kernel.errors import StepsizeError, TaskError, said
from stepsize.kernel.optional import need
from stepsize.problems.data import OWN_LOOP, digest, size
from stepsize.problems.random_state import RandomState

Tensor = Any
Batch = tuple[Any, Tensor]
"""Inputs and targets."""

KEPT = 1 << 30
"""Bytes that the batches of validation data may take to be kept in memory, once they were read."""

FIRST = 2
"""Batches that a fingerprint is made of."""

ENDLESS = 1_000_000
"""Validation data without a length has to end before so many samples."""


class Loader:
    """Batches that are read epoch after epoch, by a DataLoader of the user's.

    An epoch is a function of its seed: every generator that the loader draws from is seeded when it begins, those of
    its workers too, and set aside between two batches. So trials of one seed see the same batches, whatever else draws
    in between. Nothing is kept of an epoch that was read.

    loader: the DataLoader. form: makes (inputs, targets) of a batch. part: "train" or "validation", for the errors.
    batch_size: samples in a batch; that of its first batch, where the loader does not say.

    Raises TaskError where its first batch cannot be trained on.

    Watch out: with another number of workers the random numbers are others. A generator that torch's, NumPy's and
    Python's seeds do not reach is not seeded; `Task.check` reads a batch twice, and refuses one that differs.
    """

    def __init__(self, loader: Any, form: Callable[[Any, str], Batch], part: str) -> None:
        # it forgets its workers after an epoch: the numbers of those that stay depend on it
        self.loader = _changed(loader, persistent_workers=False, in_order=True, _iterator=None)
        self._form, self._part = form, part
        self._kept: list[Batch] | None = None
        first = self._first()
        if first is None:
            raise TaskError(
                f"Task.{part} is empty: its DataLoader gives no batch. It needs at least one; drop_last leaves out one "
                "that is not full."
            )
        self.batch_size: int = _size_of(loader) or len(first[1])

    @property
    def batches(self) -> int | None:
        """Batches in an epoch; None where that is not known."""
        try:
            return len(self.loader)
        except TypeError:
            return None

    @property
    def streams(self) -> bool:
        """Whether it reads an IterableDataset, which can only be read from its beginning."""
        return isinstance(self.loader.dataset, need("torch").utils.data.IterableDataset)

    @property
    def uniform(self) -> bool:
        """Whether all batches but the last of an epoch are certain to have one shape."""
        plain = self.loader.collate_fn is need("torch").utils.data.default_collate
        return plain and not self.streams and bool(_size_of(self.loader))

    @property
    def samples(self) -> int | None:
        """Samples in an epoch; None where that is not known."""
        known: Any = self.loader.dataset if self.streams else self.loader.sampler
        return len(known) if _size_of(self.loader) and hasattr(known, "__len__") else None

    def _first(self) -> Batch | None:
        try:
            return next(self.epoch(0, 0), None)
        except StepsizeError:
            raise
        except Exception as error:  # the user's Dataset may raise anything
            raise TaskError(f"Task.{self._part}: its DataLoader fails at the first batch: {said(error)}") from error

    @property
    def fingerprint(self) -> str:
        """A short hash of what it reads: the kind of the Dataset, how long it is, and its first batches of seed 0."""
        first = islice(self.epoch(0, 0), FIRST)
        return digest([type(self.loader.dataset).__name__, self.samples, *(part for batch in first for part in batch)])

    def resized(self, batch_size: int) -> Loader:
        """Return this loader with batches of another size.

        Raises TaskError where a batch sampler or the data make the batches.
        """
        if batch_size == self.batch_size:
            return self
        if not _size_of(self.loader):
            raise TaskError(
                f"Task.batch_size is {batch_size}, but the batches of Task.{self._part} are made by "
                f"{type(self.loader.batch_sampler or self.loader.dataset).__name__}, {self.batch_size} in the first; "
                "leave Task.batch_size out, and change it there."
            )
        other, sampler = copy.copy(self), need("torch").utils.data.BatchSampler  # what it has kept is left behind
        other.loader = _changed(
            self.loader, batch_size=batch_size,
            batch_sampler=sampler(self.loader.sampler, batch_size, self.loader.drop_last),
        )  # fmt: skip
        other.batch_size = batch_size
        return other

    def epoch(self, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, (inputs, targets), as they are read."""
        owners = _owners(self.loader)
        state = RandomState(seeds.child(seed, "batches", epoch), owners)
        with state:
            for owner in owners:
                if hasattr(owner, "set_epoch"):
                    owner.set_epoch(epoch)
            batches = iter(self.loader)
        while True:
            with state:
                batch = next(batches, None)
            if batch is None:
                return
            yield self._form(batch, self._part)

    def updates(self, seed: int, start: int, accumulate: int) -> Iterator[list[Batch]]:
        """Yield the batches of each update from `start` on, `accumulate` of them; what is over in an epoch is left out.

        It begins to read at the beginning of an epoch, or of all where the length of an epoch is not known.

        Raises TaskError for an epoch that has too few batches for one update.
        """
        per_epoch = 0 if self.streams or self.batches is None else self.batches // accumulate
        first, skipped = divmod(start, per_epoch) if per_epoch else (0, start)
        for epoch in count(first):
            read, updates = self.epoch(seed, epoch), 0
            while len(pieces := list(islice(read, accumulate))) == accumulate:
                updates += 1
                if skipped:
                    skipped -= 1
                else:
                    yield pieces
            if not updates:
                raise TaskError(
                    f"epoch {epoch} of Task.{self._part} has {len(pieces)} batches, and an update takes {accumulate}. "
                    "A stream has to begin anew each time that it is iterated over; else make Task.accumulate smaller."
                )

    def once(self) -> Iterable[Batch]:
        """Return all batches of one epoch, the same each time; kept in memory where they take less than a GiB."""
        return self._read_once() if self._kept is None else self._kept

    def _read_once(self) -> Iterator[Batch]:
        kept: list[Batch] = []
        room, samples = KEPT, 0
        for batch in self.epoch(0, 0):
            room, samples = room - size(batch), samples + len(batch[1])
            if room >= 0:
                kept.append(batch)
            else:
                kept.clear()
            if self.batches is None and samples > ENDLESS:
                raise TaskError(
                    f"Task.{self._part} has more than {ENDLESS} samples and no length, so a score may never end. Give "
                    f"it a __len__, or as many samples as a score needs; or {OWN_LOOP}."
                )
            yield batch
        if room >= 0:
            self._kept = kept

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy of it, or another process, needs to read it too."""
        return {**self.__dict__, "_kept": None}


def _changed(loader: Any, **values: Any) -> Any:
    """Return a copy of a DataLoader in which attributes differ that it does not let be set."""
    other = copy.copy(loader)
    other.__dict__.update(values)
    return other


def _size_of(loader: Any) -> int:
    """Return the batch size that a loader has by itself, 0 where something else makes its batches."""
    plain = type(loader.batch_sampler) is need("torch").utils.data.BatchSampler
    return loader.batch_size if plain and isinstance(loader.batch_size, int) else 0


def _owners(loader: Any) -> list[Any]:
    """Return what may hold a generator or count epochs: the loader, its samplers, and its dataset, layer by layer."""
    found = [loader, loader.sampler, loader.batch_sampler, getattr(loader.batch_sampler, "sampler", None)]
    dataset = loader.dataset
    while dataset is not None:
        found.append(dataset)
        dataset = getattr(dataset, "dataset", None)
    return list({id(each): each for each in found if each is not None}.values())
