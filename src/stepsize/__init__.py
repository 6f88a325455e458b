"""stepsize: which learning rate, and which schedule, for your model.

Every name, and every package below, is loaded when it is first asked for: `import stepsize` costs nothing.
"""

from typing import TYPE_CHECKING

from stepsize.kernel.errors import StepsizeError as StepsizeError
from stepsize.kernel.optional import lazy

if TYPE_CHECKING:
    from stepsize.adapters.range_test import ramp as ramp
    from stepsize.adapters.torch import RangeTest as RangeTest
    from stepsize.adapters.torch import as_lr_scheduler as as_lr_scheduler
    from stepsize.adapters.torch import build_optimizer as build_optimizer
    from stepsize.adapters.torch import drive as drive
    from stepsize.catalogue import register as register
    from stepsize.engines.function import FunctionTask as FunctionTask
    from stepsize.jobs import suggest as suggest
    from stepsize.jobs.advise.advise import advise as advise
    from stepsize.jobs.advise.advise import search as search
    from stepsize.jobs.race.race import race as race
    from stepsize.jobs.range_test.range_test import range_test as range_test
    from stepsize.jobs.transfer import transfer as transfer
    from stepsize.jobs.tune.tune import tune as tune
    from stepsize.jobs.tune.tuned import tuned as tuned
    from stepsize.kernel.version import __version__ as __version__
    from stepsize.policies import Policy as Policy
    from stepsize.problems import Task as Task
    from stepsize.problems import load_task as load_task
    from stepsize.report import write_report as write_report
    from stepsize.results import load as load
    from stepsize.results import save as save
    from stepsize.schedules import Schedule as Schedule
    from stepsize.strategy import Strategy as Strategy

_LATER = {
    "__version__": "kernel.version",
    "FunctionTask": "engines.function",
    "Policy": "policies",
    "RangeTest": "adapters.torch",
    "Schedule": "schedules",
    "Strategy": "strategy",
    "Task": "problems",
    "advise": "jobs.advise.advise",
    "as_lr_scheduler": "adapters.torch",
    "build_optimizer": "adapters.torch",
    "drive": "adapters.torch",
    "load": "results",
    "load_task": "problems",
    "race": "jobs.race.race",
    "ramp": "adapters.range_test",
    "register": "catalogue",
    "range_test": "jobs.range_test.range_test",
    "save": "results",
    "search": "jobs.advise.advise",
    "suggest": "jobs",
    "transfer": "jobs.transfer",
    "tune": "jobs.tune.tune",
    "tuned": "jobs.tune.tuned",
    "write_report": "report",
}
"""Where each name comes from."""

__all__ = ("StepsizeError", *(name for name in _LATER if name != "__version__"))  # noqa: PLE0604  (all are strings)

__getattr__, __dir__ = lazy(__name__, _LATER)
