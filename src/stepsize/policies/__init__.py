"""Policies: how each hyperparameter moves, and the recipes that make them from one rate."""

from stepsize.policies.base import LR as LR
from stepsize.policies.base import Policy as Policy
from stepsize.policies.recipes import RECIPES as RECIPES
from stepsize.policies.recipes import constant as constant
from stepsize.policies.recipes import cosine as cosine
from stepsize.policies.recipes import cyclical as cyclical
from stepsize.policies.recipes import exp_range as exp_range
from stepsize.policies.recipes import exponential_decay as exponential_decay
from stepsize.policies.recipes import linear_to_zero as linear_to_zero
from stepsize.policies.recipes import one_cycle as one_cycle
from stepsize.policies.recipes import polynomial_decay as polynomial_decay
from stepsize.policies.recipes import recipe as recipe
from stepsize.policies.recipes import step_decay as step_decay
from stepsize.policies.recipes import triangular as triangular
from stepsize.policies.recipes import triangular2 as triangular2
from stepsize.policies.recipes import warmup_cosine as warmup_cosine
