"""A training loop of the user's own that finds its own learning rate, and then trains with it.

::

    loop = tune(model, optimizer, loader, policy="one_cycle", steps=20_000)
    for batch in loop:
        ...                                  # forward, backward, optimizer.step()
        loop.tell(loss)

First it makes pilot runs in this very loop, short whole schedules of rising length, each from the weights, buffers and
generators that it found; then it puts everything back, and drives the real run.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch

from stepsize.adapters.torch.epochs import is_iterator
from stepsize.adapters.torch.groups import check_trained, plain
from stepsize.adapters.torch.logs import Log
from stepsize.adapters.torch.snapshots import modules, resumable
from stepsize.jobs.advise.advise import LEAST_HORIZON
from stepsize.jobs.tune.family import Asked, check_steps, family, rule_like, rule_of_name
from stepsize.jobs.tune.pilots import check_validate, share_of
from stepsize.jobs.tune.tuner import Tuner
from stepsize.kernel.errors import ParameterError, brief
from stepsize.rules import Rule

Many = Any
"""One of them, or a list."""


def tune(
    model: Many,
    optimizer: Any,
    loader: Any,
    *others: Any,
    steps: int,
    policy: Asked = "one_cycle",
    share: float | None = None,
    validate: Callable[[], Any] | None = None,
    rule: Rule | str | None = None,
    log: Log | None = None,
    device: torch.device | str | None = None,
    skip_frozen: bool = False,
) -> Tuner:
    """Return your training loop as one that finds its own learning rate: go through it for the batches of each turn.

    model: the module that the loop trains, or a list of them. optimizer: any of `torch.optim`, or one that a trainer
        has wrapped. loader: gives the batches, epoch after epoch; `set_epoch` of its sampler is called before each.
    others: what else the loop changes: a GradScaler, schedulers, an average of the weights, generators of your own, a
        second optimizer; what a `Snapshot` takes.
    steps: of the real run, optimizer updates. policy: by name, as a function of its peak, or as a value, whose own
        peak does not matter.
    share: what the pilot runs may cost, as a share of the run: when not given .35 of it from 5000 updates on, and at
        most all of it below. With 0 there are none, and it trains at what its first gradient says.
    validate: returns the held-out loss, lower is better; called before the first and at the end of each pilot run,
        without gradients; what it costs is timed, and counts in the share.
    rule: that the optimizer follows, or its name, where it is none of torch's.
    log: as in `drive`, of the real run. device, skip_frozen: as in `Snapshot`.

    What the pilot runs have changed is put back, by an error, Ctrl-C or `break` too. The real run that follows is bit
    by bit the one that `drive` makes with the same policy from the start: the same batches, dropout and augmentation,
    if the loader can be gone through anew. A turn that makes no update, because it adds up gradients or a GradScaler
    skips, keeps its rate. Parameter groups keep their ratios. Under torch.distributed all processes agree.

    Raises DriveError for a run of less than 40 updates, for what cannot be put back, for a loop that makes no update or
    does not tell its losses; TaskError for a first loss that is NaN, where all pilot runs diverge, and for an empty
    loader; ParameterError for a policy or share that there is not.

    Watch out: without `validate` a pilot run is scored by the training losses of its last tenth, which cannot see
    overfitting: give it where the data is gone through more than a few times. An iterator cannot be put back, so the
    real run goes on with the data that comes. What your loop does beside training, logs and files, it does in pilot
    runs too, unless it asks `piloting`.

    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(64, 2)
    >>> data = torch.utils.data.TensorDataset(x, x @ torch.tensor([[1.0], [-2.0]]))
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.AdamW(model.parameters())
    >>> loop = tune(model, optimizer, torch.utils.data.DataLoader(data, batch_size=16), steps=100)
    >>> for inputs, targets in loop:
    ...     loss = torch.nn.functional.mse_loss(model(inputs), targets)
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     optimizer.step()
    ...     loop.tell(loss)
    >>> loop.answer.learned, loop.answer.cost <= 1, loss.item() < 0.1
    (True, True, True)
    """
    check_steps(steps, LEAST_HORIZON)
    check_validate(validate)
    models, inner = modules(model), check_trained([plain(optimizer)])[0]
    followed = rule_like(inner) if rule is None else rule_of_name(rule)
    return Tuner(
        models, inner, _checked(loader), (_kept(loader), *others), family=family(followed, policy, steps, inner),
        steps=steps, share=share_of(share, steps), validate=validate, log=log,
        options={"device": device, "skip_frozen": skip_frozen},
    )  # fmt: skip


def _kept(loader: Any) -> Any:
    """Return a loader where a snapshot can put it back, or has to look into it; else None."""
    return loader if isinstance(loader, torch.utils.data.DataLoader) or resumable(loader) else None


def _checked(loader: Any) -> Any:
    if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
        raise ParameterError(
            f"a loop is tuned over what gives its batches, such as a DataLoader or a list of them, not {brief(loader)}."
        )
    if is_iterator(loader) and not resumable(loader):
        warnings.warn(
            f"a {type(loader).__name__} can be gone through but once, so the real run goes on with the batches that "
            "come after those of the pilot runs. Give a DataLoader, or another iterable that begins anew.",
            stacklevel=3,
        )
    return loader
