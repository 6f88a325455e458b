"""Dropout whose masks are a function of trial, step and call, the same in every engine (docs/adr/0016)."""

from stepsize.engines.dropout.generator import Keys as Keys
from stepsize.engines.dropout.mode import Dropout as Dropout
