"""Engines: who runs the trials."""

from stepsize.engines.base import Engine as Engine
from stepsize.engines.choice import EngineChoice as EngineChoice
from stepsize.engines.choice import choose as choose
from stepsize.engines.choice import for_one_trial as for_one_trial
from stepsize.engines.function import Function as Function
from stepsize.engines.function import FunctionTask as FunctionTask
from stepsize.engines.loop import Loop as Loop
from stepsize.engines.vectorised.ensemble import Ensemble as Ensemble
