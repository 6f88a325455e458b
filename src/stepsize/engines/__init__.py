"""Engines: who runs the trials. Each is loaded when it is first asked for, and its framework with it."""

from typing import TYPE_CHECKING

from stepsize.kernel.optional import lazy

if TYPE_CHECKING:
    from stepsize.engines.base import Engine as Engine
    from stepsize.engines.base import EngineChoice as EngineChoice
    from stepsize.engines.choice import choose as choose
    from stepsize.engines.function import Function as Function
    from stepsize.engines.function import FunctionTask as FunctionTask
    from stepsize.engines.loop import Loop as Loop
    from stepsize.engines.vectorised.ensemble import Ensemble as Ensemble
    from stepsize.engines.vectorised.refusal import refusal as refusal

_LATER = {
    "Engine": "base",
    "EngineChoice": "base",
    "Ensemble": "vectorised.ensemble",
    "Function": "function",
    "FunctionTask": "function",
    "Loop": "loop",
    "choose": "choice",
    "refusal": "vectorised.refusal",
}
"""Where each name comes from."""

__getattr__, __dir__ = lazy(__name__, _LATER)
