"""Schedules: a hyperparameter as a pure function of the step. The import is the registration."""

from stepsize.schedules.base import Chain as Chain
from stepsize.schedules.base import Scaled as Scaled
from stepsize.schedules.base import Schedule as Schedule
from stepsize.schedules.base import Segment as Segment
from stepsize.schedules.base import Sum as Sum
from stepsize.schedules.cycles import Cycle as Cycle
from stepsize.schedules.cycles import ExpRange as ExpRange
from stepsize.schedules.cycles import Triangular as Triangular
from stepsize.schedules.cycles import Triangular2 as Triangular2
from stepsize.schedules.decays import Constant as Constant
from stepsize.schedules.decays import Cosine as Cosine
from stepsize.schedules.decays import Exponential as Exponential
from stepsize.schedules.decays import Linear as Linear
from stepsize.schedules.decays import Polynomial as Polynomial
from stepsize.schedules.stairs import Staircase as Staircase
