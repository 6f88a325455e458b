"""The version that is installed."""

from stepsize.kernel.optional import version_of

__version__ = version_of("stepsize")
