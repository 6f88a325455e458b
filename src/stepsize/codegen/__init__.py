"""The code to paste: a strategy as a complete short script, for each framework."""

from stepsize.codegen.frameworks import FRAMEWORKS as FRAMEWORKS
from stepsize.codegen.frameworks import function_script as function_script
from stepsize.codegen.frameworks import loop_script as loop_script
from stepsize.codegen.frameworks import script as script
from stepsize.codegen.native.scripts import OF_THE_TASK as OF_THE_TASK
from stepsize.codegen.native.scripts import native_script as native_script
from stepsize.codegen.script import folded as folded
from stepsize.codegen.script import loadable as loadable
