"""The code to paste: a strategy as a complete short script, for each framework."""

from stepsize.results.scripts.frameworks import FRAMEWORKS as FRAMEWORKS
from stepsize.results.scripts.frameworks import function_script as function_script
from stepsize.results.scripts.frameworks import script as script
from stepsize.results.scripts.parts import loadable as loadable
