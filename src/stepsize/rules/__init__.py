"""Update rules: how gradients become updates. The import is the registration."""

from stepsize.rules.adaptive import Adam as Adam
from stepsize.rules.adaptive import AdamW as AdamW
from stepsize.rules.adaptive import RMSProp as RMSProp
from stepsize.rules.base import Rule as Rule
from stepsize.rules.momentum import SGD as SGD
from stepsize.rules.momentum import Momentum as Momentum
from stepsize.rules.momentum import Nesterov as Nesterov
