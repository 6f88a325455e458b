"""A Ray cluster: batches of trials on many machines, with Ray's core alone. Only the address is shared with them.

The task is put into the cluster once, by value: the functions of its file travel with it, and no folder has to be
shared. stepsize and torch have to be installed on every node, in the same versions.
"""

from __future__ import annotations

import itertools
import os
import pickle
import socket
import sys
import time
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stepsize.execution.executor import BatchRun, Notify, Outcome, portable
from stepsize.kernel.errors import ParameterError, PoolError, TaskError
from stepsize.kernel.optional import need
from stepsize.problems import Trainable
from stepsize.results.curves import Curves

LOCAL = "local"

REACH = 10.0
"""Seconds to wait for an address to answer."""

PATIENCE = 120.0
"""Seconds to wait, with nothing running, for a node that can run a batch."""

_TASKS: dict[str, Trainable] = {}  # in a worker of the cluster: what it has unpacked


class RayPool:
    """Batches of trials on a Ray cluster.

    address: "local" starts one on this machine, which ends with the pool; else that of a running one, "host:6379" or
        "ray://host:10001". cpus, gpus: what one batch asks for; its engine must be made for a GPU, such as
        `Ensemble(device="cuda")`.

    The runner retries what is lost; Ray retries nothing. Ray's usage statistics are off, unless
    RAY_USAGE_STATS_ENABLED says otherwise. A cluster that this process is connected to already is used as it is.

    Watch out: progress is reported batch by batch. Authentication is as Ray's variables say (RAY_AUTH_MODE).

    Raises ParameterError for an address that is none, PoolError when nothing answers there.
    """

    def __init__(self, address: str, *, cpus: float = 1.0, gpus: float = 0.0) -> None:
        if address != LOCAL:
            _host_and_port(address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray = need("ray")
        self._address, self._wants = address, {"CPU": cpus, "GPU": gpus}
        self._end = weakref.finalize(self, _connect(self._ray, address))
        self._run = self._ray.remote(_run).options(num_cpus=cpus, num_gpus=gpus, max_retries=0)
        self._running: dict[Any, int] = {}
        self._lost: list[Outcome] = []
        self._references: weakref.WeakKeyDictionary[Trainable, tuple[str, Any]] = weakref.WeakKeyDictionary()
        self._idle_since = time.monotonic()

    @property
    def label(self) -> str:
        """Where batches run, in a few words."""
        return "on a local Ray cluster" if self._address == LOCAL else f"on the Ray cluster at {self._address}"

    @property
    def free(self) -> int:
        """How many more batches the nodes that live have room for."""
        with self._asked():
            there = self._ray.cluster_resources()
        room = min(there.get(kind, 0.0) // amount for kind, amount in self._wants.items() if amount)
        return max(0, int(room) - len(self._running))

    def submit(self, key: int, run: BatchRun, notify: Notify) -> None:  # noqa: ARG002  (a batch counts when it is done)
        """Hand a batch to the cluster; its task is put there the first time."""
        with self._asked(), _by_value(run.task) as dumps:
            if run.task not in self._references:
                self._references[run.task] = uuid.uuid4().hex, self._ray.put(dumps(run.task))
            name, task = self._references[run.task]
            batch = dumps((run.engine, run.trials, run.steps, run.score_every))
            self._running[self._run.remote(name, [task], batch)] = key

    def poll(self, seconds: float) -> list[Outcome]:
        """Return what ended, and what was lost with its worker or node."""
        lost, self._lost = self._lost, []
        if lost:
            return lost
        if not self._running:
            self._check_patience()
            time.sleep(seconds)
            return []
        self._idle_since = time.monotonic()
        with self._asked():
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return [self._outcome(self._running.pop(ref), ref) for ref in ready]

    def _check_patience(self) -> None:
        if time.monotonic() - self._idle_since > PATIENCE:
            wanted = ", ".join(f"{amount:g} {kind}" for kind, amount in self._wants.items() if amount)
            raise PoolError(
                f"no node of the Ray cluster at {self._address} has had {wanted} for {PATIENCE:.0f} seconds."
            )

    def _outcome(self, key: int, ref: Any) -> Outcome:
        errors = self._ray.exceptions
        try:
            answer: Curves | Exception = self._ray.get(ref)
        except errors.RayTaskError as error:
            return key, "error", TaskError(f"Ray could not run it: {_line(error)}")
        except errors.RayError as error:
            return key, "lost", f"Ray lost it: {_line(error)}"
        return (key, "ok", answer) if isinstance(answer, Curves) else (key, "error", answer)

    def abandon(self, key: int, reason: str) -> None:
        """Have Ray kill the worker that runs this batch."""
        for ref in [ref for ref, other in self._running.items() if other == key]:
            del self._running[ref]
            self._lost.append((key, "lost", reason))
            with suppress(self._ray.exceptions.RayError):
                self._ray.cancel(ref, force=True)

    def close(self) -> None:
        """Leave the cluster, and end it if it is our own."""
        for key in list(self._running.values()):
            self.abandon(key, "the pool was closed")
        self._end()

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Turn a cluster that is gone into an error of ours."""
        try:
            yield
        except (self._ray.exceptions.RayError, ConnectionError, TimeoutError) as error:
            raise PoolError(f"the Ray cluster at {self._address} is gone: {_line(error)}") from error


def _connect(ray: Any, address: str) -> Any:
    """Connect this process to the cluster, and return what undoes it."""
    if ray.is_initialized():
        return lambda: None
    if address != LOCAL:
        _reach(address)
    options: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **options)
    except Exception as error:  # Ray raises of many kinds, and each means the same here
        raise PoolError(f"the Ray cluster at {address} cannot be used: {_line(error)}") from error
    return ray.shutdown


def _reach(address: str) -> None:
    """Raise PoolError unless something listens at `address`: Ray itself would try for a minute and then say little."""
    try:
        with socket.create_connection(_host_and_port(address), timeout=REACH):
            return
    except OSError as error:
        raise PoolError(
            f"nothing answers at {address} ({error}). Start Ray there (ray start --head), or check the address."
        ) from None


def _host_and_port(address: str) -> tuple[str, int]:
    """Return host and port of an address; raise ParameterError where it has none."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ParameterError(f'the address must be "local", "host:6379" or "ray://host:10001", not {address!r}.')
    return host, int(port)


@contextmanager
def _by_value(task: Trainable) -> Iterator[Any]:
    """Give a `dumps` that takes the functions of the task's file, and of the files beside it, along by value."""
    cloudpickle = need("ray.cloudpickle")
    folder = Path(task.source.partition(".py")[0]).absolute().parent if ".py" in task.source else None
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    own = [sys.modules[name] for name, file in files.items() if file and Path(file).absolute().parent == folder]
    own = [module for module in own if sys.modules.get(module.__name__) is module and module.__name__ != "__main__"]
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield cloudpickle.dumps
    except (pickle.PicklingError, TypeError) as error:
        raise TaskError(f"{task.name!r} cannot be sent to the cluster ({error}).") from None
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)


def _run(name: str, task: list[Any], batch: bytes) -> Curves | Exception:
    """Run one batch, in a worker of the cluster."""
    try:
        if name not in _TASKS:
            _TASKS[name] = pickle.loads(need("ray").get(task[0]))  # noqa: S301  (from our own driver)
        return BatchRun(_TASKS[name], *pickle.loads(batch)).run()  # noqa: S301  (from our own driver)
    except BaseException as error:  # noqa: BLE001  (whatever a task raises is data, SystemExit too)
        return portable(error)


def _line(error: Exception) -> str:
    """Return an error of Ray in one line: its messages are pages."""
    lines = (line.strip() for line in str(error).splitlines())
    return f"{type(error).__name__}: {' '.join(itertools.islice(filter(None, lines), 2))[:300]}"
