"""Problems: what is to be trained."""

from stepsize.problems.base import Task as Task
from stepsize.problems.examples import TASKS as TASKS
from stepsize.problems.load import load_task as load_task
