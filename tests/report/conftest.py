"""Opens pages in headless Chromium."""

import contextlib
import os
import shutil
import threading

import psutil
import pytest

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip


LONGEST = 300
"""Seconds that one test may have a browser, thirty times what the longest takes on a quiet core."""


def missing(what):
    """Skip on a developer's machine; in CI the browser must be there."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{what} is not installed")


@pytest.fixture(scope="module")
def playwright():
    """What drives a browser."""
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415
    except ImportError:
        missing("playwright")
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def launched(playwright):
    """Return what gives a Chromium of this machine: the same to all tests, and another once it has ended."""
    chromium = os.environ.get("STEPSIZE_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        missing("chromium")
    running = []

    def connected():
        if not (running and running[-1].is_connected()):
            running.append(playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS)))
        return running[-1]

    yield connected
    for each in running:
        each.close()


@pytest.fixture
def browser(launched):
    """A Chromium without what tests before have opened; CI fails where there is none.

    A call that waits for a browser may wait for ever, and the whole suite with it. So a browser that takes too long is
    killed, which ends the call with an error.
    """
    watchdog = threading.Timer(LONGEST, end_browsers)
    watchdog.daemon = True
    watchdog.start()
    try:
        running = launched()
        yield running
        for context in running.contexts if running.is_connected() else ():
            context.close()
    finally:
        watchdog.cancel()


def end_browsers():
    """Kill the browsers that this process has started."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "chrom" in child.name():
                child.kill()


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    """The page about the whole answer of a search."""
    import samples  # noqa: PLC0415

    from stepsize.report import write_report  # noqa: PLC0415

    return write_report(tmp_path_factory.mktemp("page") / "report.html", samples.advice())
