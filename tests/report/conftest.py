"""Opens pages in headless Chromium."""

import os
import shutil

import pytest

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip


def missing(what):
    """Skip on a developer's machine; in CI the browser must be there."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{what} is not installed")


@pytest.fixture(scope="session")
def browser():
    """Chromium from this machine; CI fails where there is none."""
    chromium = os.environ.get("STEPSIZE_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        missing("chromium")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415
    except ImportError:
        missing("playwright")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield running
        running.close()


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    """The page about the whole answer of a search."""
    import samples  # noqa: PLC0415

    from stepsize.report import write_report  # noqa: PLC0415

    return write_report(tmp_path_factory.mktemp("page") / "report.html", samples.advice())
