"""stepsize: which learning rate, and which schedule, for your model.

Values are here at once; what needs a framework is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stepsize.kernel.errors import StepsizeError as StepsizeError
from stepsize.policies import Policy as Policy
from stepsize.problems import Task as Task
from stepsize.problems import load_task as load_task
from stepsize.results import load as load
from stepsize.results import save as save
from stepsize.schedules import Schedule as Schedule
from stepsize.strategy import Strategy as Strategy

if TYPE_CHECKING:
    from stepsize.adapters.range_test import ramp as ramp
    from stepsize.adapters.torch import RangeTest as RangeTest
    from stepsize.adapters.torch import as_lr_scheduler as as_lr_scheduler
    from stepsize.adapters.torch import build_optimizer as build_optimizer
    from stepsize.adapters.torch import drive as drive
    from stepsize.engines.function import FunctionTask as FunctionTask
    from stepsize.jobs import suggest as suggest
    from stepsize.jobs.advise.advise import advise as advise
    from stepsize.jobs.race.race import race as race
    from stepsize.jobs.range_test.ramp import range_test as range_test
    from stepsize.report import write_report as write_report

_LATER = {
    "FunctionTask": "engines.function",
    "RangeTest": "adapters.torch",
    "advise": "jobs.advise.advise",
    "as_lr_scheduler": "adapters.torch",
    "build_optimizer": "adapters.torch",
    "drive": "adapters.torch",
    "race": "jobs.race.race",
    "ramp": "adapters.range_test",
    "range_test": "jobs.range_test.ramp",
    "suggest": "jobs",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'stepsize' has no attribute {name!r}")
    return getattr(import_module(f"stepsize.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted([name for name in globals() if not name.startswith("_")] + list(_LATER))
