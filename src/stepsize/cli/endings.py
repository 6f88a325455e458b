"""Ends that are no end of a command: signals other than Ctrl-C, a task that leaves, and a reader that goes away."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

CLOSED = 141
"""The code of a program whose reader went away, 128 and SIGPIPE."""

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What ends a command as Ctrl-C does: what is finished is kept, and said."""


class EndedBySignal(KeyboardInterrupt):
    """A signal other than Ctrl-C asked for the end; number: which."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def answering_signals() -> Iterator[None]:
    """Turn the signals that would end this process at once into `EndedBySignal`, where nobody else answers them."""
    ours = [each for each in SIGNALS if signal.getsignal(each) is signal.SIG_DFL] if _in_main_thread() else []

    def answer(number: int, frame: object) -> NoReturn:  # noqa: ARG001  (what a handler is given)
        raise EndedBySignal(number)

    for each in ours:
        signal.signal(each, answer)
    try:
        yield
    finally:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)


@contextmanager
def noticing_exits() -> Iterator[None]:
    """Let `os._exit` raise as `sys.exit` does, so that no task of a user's ends a command with 0 and without a result.

    A forked child still ends at once; and so does this process by another thread, but never with 0.
    """
    own, end = os.getpid(), os._exit

    def leave(status: int) -> NoReturn:
        if os.getpid() != own:
            end(status)
        if not _in_main_thread():
            sys.stderr.write(f"Error: a thread of the task ended this command by os._exit({status}).\n")
            sys.stderr.flush()
            end(status or 1)
        raise SystemExit(f"os._exit({status})")

    os._exit = leave
    try:
        yield
    finally:
        os._exit = end


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def reader_is_gone() -> bool:
    """Whether nobody reads what this process prints any more; another pipe may be broken as well."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
            os.write(stream.fileno(), b"")
            if _closed(stream.fileno()):
                return True
        except BrokenPipeError:
            return True
        except (OSError, ValueError):
            continue
    return False


def drop_unwritten() -> None:
    """Let go of what standard output cannot take: Python would try it again at the end, and print a page."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _closed(descriptor: int) -> bool:
    import select

    if not hasattr(select, "poll"):  # Windows
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
