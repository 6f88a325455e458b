"""Problems: what is to be trained."""

from stepsize.problems.base import Task as Task
from stepsize.problems.base import Trainable as Trainable
from stepsize.problems.builtin_tasks import TASKS as TASKS
from stepsize.problems.columns import Columns as Columns
from stepsize.problems.data_warnings import data_warnings as data_warnings
from stepsize.problems.load import load_task as load_task
from stepsize.problems.loader import Loader as Loader
