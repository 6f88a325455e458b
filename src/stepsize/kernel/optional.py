"""Optional packages and upper floors, imported at the moment of use.

`import stepsize` loads no framework. What needs one asks for it here, and gets either the module or
one sentence that says what to install.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from stepsize.kernel.errors import MissingPackageError

_EXTRAS = {
    "torch": "torch",
    "scipy": "torch",
    "matplotlib": "plot",
    "plotext": "plot",
    "jinja2": "plot",
    "sklearn": "examples",
    "jax": "jax",
    "optax": "jax",
    "keras": "keras",
    "lightning": "lightning",
    "transformers": "transformers",
    "accelerate": "transformers",
    "ignite": "ignite",
    "fastai": "fastai",
    "ray": "ray",
}


def need(package: str) -> Any:
    """Import `package` and return it, or raise MissingPackageError that says what to install."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        root = package.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != root:
            raise
        wanted = f"'stepsize[{_EXTRAS[root]}]'" if root in _EXTRAS else root
        raise MissingPackageError(
            f"this needs the package {root!r}, which is not installed. Install it: pip install {wanted}"
        ) from error


def installed(package: str) -> bool:
    """Whether `package` could be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def picture(name: str) -> Callable[..., Any]:
    """Return the drawing function `name` of `stepsize.plots`.

    Values and results stand on floors below the plots, yet each has `.plot()`: this is the one place where a
    lower floor reaches up, by name and only when called (docs/adr/0005).
    """
    need("matplotlib")
    function: Callable[..., Any] = getattr(importlib.import_module("stepsize.plots"), name)
    return function
