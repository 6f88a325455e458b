"""Problems: what is to be trained."""

from stepsize.problems.base import Task as Task
from stepsize.problems.columns import Columns as Columns
from stepsize.problems.doubts import doubts as doubts
from stepsize.problems.examples import TASKS as TASKS
from stepsize.problems.load import load_task as load_task
