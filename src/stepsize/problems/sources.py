"""Where data comes from: what repeats itself is held in memory, and everything else is read anew in every epoch."""

from __future__ import annotations

from typing import Any

from stepsize.kernel.errors import TaskError, brief
from stepsize.kernel.optional import need
from stepsize.problems.data import OWN_LOOP, digest, is_values, leaves, pair, size, stacked, whole
from stepsize.problems.loader import Loader
from stepsize.problems.random_state import RandomState

HELD = 1 << 30
"""Bytes that a Dataset may take to be held in memory."""

AGAIN = 1024
"""So many samples of a Dataset are read a second time, to see whether they are the same."""

HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
"""What a DataModule may do to batches inside of a Trainer."""


def read(data: Any, part: str, *, own_loss: bool, batch_size: int) -> Any:
    """Return `data` as a pair (inputs, targets) in memory, or as a `Loader`.

    part: "train" or "validation", for the errors. own_loss: whether the model computes its loss from whole samples.
    batch_size: of a Dataset that is read as a loader; 0 where none was given.

    Raises TaskError for data of a form that cannot be trained on.
    """
    form = whole if own_loss else pair
    if isinstance(data, Loader):
        return data
    if is_values(data):
        return form(data, part)
    tools = need("torch").utils.data
    loader = data if isinstance(data, tools.DataLoader) else None
    if loader is None or _is_plain(loader):
        dataset = data if loader is None else loader.dataset
        if is_values(dataset):
            return form(dataset, part)
        samples = samples_of(dataset, part)
        if samples is not None:
            return form(stacked(samples, part), part, next(iter(samples), None))
    if loader is None:
        shuffle = None if isinstance(data, tools.IterableDataset) else part == "train"
        loader = tools.DataLoader(data, batch_size=batch_size or 64, shuffle=shuffle)
    return Loader(loader, form, part)


def _is_plain(loader: Any) -> bool:
    """Whether a DataLoader does no more than to take the samples of a Dataset in some order, each once an epoch."""
    tools = need("torch").utils.data
    sampler = loader.sampler
    ordered = type(sampler) is tools.SequentialSampler or (
        type(sampler) is tools.RandomSampler and not sampler.replacement and sampler.num_samples == len(loader.dataset)
    )
    own = loader.collate_fn is not tools.default_collate or type(loader) is not tools.DataLoader
    return ordered and not own and loader.batch_size is not None


def samples_of(dataset: Any, part: str) -> list[Any] | None:
    """Return the samples of a Dataset that are to be held in memory; None where it is to be read in every epoch.

    Values are held: lists, and what torch's own TensorDataset and Subset make of tensors. Other Datasets are where they
    take less than a GiB, draw no random number while all of it is read, and give 1024 samples alike a second time.

    Raises TaskError for what is no Dataset.
    """
    tools = need("torch").utils.data
    if isinstance(dataset, tools.IterableDataset):
        return None
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise TaskError(
            f"Task.{part} must be a pair of tensors or arrays, a Dataset, or a DataLoader over one, "
            f"not {type(dataset).__name__}. What yields batches in another way: {OWN_LOOP}."
        )
    numbers = range(len(dataset))
    if _is_stored(dataset):
        return [dataset[i] for i in numbers]
    if hasattr(dataset, "set_epoch") or not numbers:
        return None if numbers else []
    with RandomState(0) as state:
        first = dataset[0]
        if state.drawn or size(first) * len(numbers) > HELD:
            return None
        samples = [first, *(dataset[i] for i in numbers[1:])]
        again = numbers[:: -(-len(numbers) // AGAIN)]
        alike = all(digest(leaves(dataset[i])) == digest(leaves(samples[i])) for i in again)
        return samples if alike and not state.drawn else None


def _is_stored(dataset: Any) -> bool:
    """Whether a sample is looked up, and no code of the user's runs."""
    tools = need("torch").utils.data
    while isinstance(dataset, tools.Subset):
        dataset = dataset.dataset
    return isinstance(dataset, list | tuple | need("torch").Tensor) or type(dataset) is tools.TensorDataset


def is_module(data: Any) -> bool:
    """Whether `data` is a LightningDataModule, or has its methods."""
    return all(callable(getattr(data, name, None)) for name in ("setup", "train_dataloader", "val_dataloader"))


def of_module(module: Any, *parts: str) -> list[Any]:
    """Return the loaders of a LightningDataModule, "train" or "val", once it is prepared and set up.

    Raises TaskError where it has several loaders of a kind, or changes batches on their way to the model.
    """
    changed = [name for name in HOOKS if not _is_lightning(_owner(module, name))]
    if changed:
        raise TaskError(
            f"{type(module).__name__}.{changed[0]} changes batches on their way to the model, which a Task would leave "
            f"out. Do it in the Dataset, in collate_fn or in the model; or {OWN_LOOP}."
        )
    if hasattr(module, "prepare_data"):
        module.prepare_data()
    module.setup("fit")
    return [_one_loader(module, f"{part}_dataloader") for part in parts]


def _one_loader(module: Any, name: str) -> Any:
    loader = getattr(module, name)()
    if isinstance(loader, list | tuple) and len(loader) == 1:
        loader = loader[0]
    if not isinstance(loader, need("torch").utils.data.DataLoader):
        raise TaskError(
            f"{type(module).__name__}.{name} returns no DataLoader but {brief(loader)}; a Task takes one of a kind: "
            f"Task(model, loss, train=..., validation=...). Several at once: {OWN_LOOP}."
        )
    return loader


def _owner(module: Any, name: str) -> type | None:
    """Return the class that defines a method, None where there is none."""
    return next((each for each in type(module).__mro__ if name in vars(each)), None)


def _is_lightning(owner: type | None) -> bool:
    return owner is None or owner.__module__.partition(".")[0] in {"lightning", "pytorch_lightning"}
