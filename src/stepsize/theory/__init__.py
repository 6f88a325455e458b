"""Theory: pure functions of schedule tables and recorded curves."""

from stepsize.theory.bound import best_rate as best_rate
from stepsize.theory.bound import bound_terms as bound_terms
from stepsize.theory.bound import least_bound as least_bound
from stepsize.theory.bound import shift as shift
