# ruff: noqa: INP001  (a script, not a package)
"""Hold what `make release` built to what a release is: python scripts/check_release.py [vX.Y.Z]

The version is the tag's and the citation's, the wheel and the sdist have what belongs inside, and the wheel works in an
environment of its own, where commands run or say in one line what to install.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
WRONG_INPUT = 2
"""The exit code of a command that is asked for what it cannot do."""

IN_WHEEL = (
    "py.typed", "__main__.py", "report/page.css", "report/vendor/uPlot.iife.min.js", "jobs/advise/belief/prior.json",
)  # fmt: skip
IN_SDIST = (
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "constraints.txt",
    "tests/conftest.py",
    "docs/conf.py",
)


def main() -> None:
    """Check, and say what was checked."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    tag = sys.argv[1] if len(sys.argv) > 1 else f"v{version}"
    expect(tag == f"v{version}", f"the tag is {tag}, and pyproject.toml says {version}")
    expect(
        f"version: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8"),
        "CITATION.cff has another version",
    )
    (wheel,), (sdist,) = ROOT.glob("dist/*.whl"), ROOT.glob("dist/*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    for name in IN_WHEEL:
        expect(f"stepsize/{name}" in names, f"the wheel lacks {name}")
    expect(any(name.endswith("licenses/LICENSE") for name in names), "the wheel lacks its licence")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    expect(set(IN_SDIST) <= inside, f"the sdist lacks {sorted(set(IN_SDIST) - inside)}")
    try_wheel(wheel, version)
    print(f"{wheel.name} and {sdist.name} can be published as {tag}")  # noqa: T201  (its answer)


def try_wheel(wheel: Path, version: str) -> None:
    """Install the wheel without extras, and run the commands that need none."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        run(python, "-m", "pip", "install", "-qq", "-c", str(ROOT / "constraints.txt"), str(wheel))
        expect(version in run(python, "-m", "stepsize", "--version"), "the wheel says another version")
        expect("one_cycle" in run(python, "-m", "stepsize", "list"), "the wheel lists no policies")
        run(python, "-m", "stepsize", "show", "one_cycle", "peak=0.1")
        refused = ended(python, "-m", "stepsize", "advise", "digits")
        says = refused.returncode == WRONG_INPUT and "pip install" in refused.stderr
        expect(says, "without torch, advise does not say what to install")


def run(*command: object) -> str:
    """Return what a command prints; SystemExit with its errors where it fails."""
    done = ended(*command)
    expect(done.returncode == 0, f"{command}: {done.stderr[-2000:]}")
    return done.stdout


def ended(*command: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)  # noqa: S603  (ours)


def expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001  (a condition)
    """Raise SystemExit with what is wrong unless it holds."""
    if not holds:
        raise SystemExit(otherwise)


if __name__ == "__main__":
    main()
