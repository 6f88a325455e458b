"""Theory: pure functions of schedule tables and recorded curves."""

from stepsize.theory.bisection import middle_exponent as middle_exponent
from stepsize.theory.bound import best_rate as best_rate
from stepsize.theory.bound import bound_terms as bound_terms
from stepsize.theory.bound import least_bound as least_bound
from stepsize.theory.bound import rescale_factor as rescale_factor
from stepsize.theory.fitting import Run as Run
from stepsize.theory.fitting import fit as fit
from stepsize.theory.lanczos import Eigenpair as Eigenpair
from stepsize.theory.lanczos import largest_eigenpair as largest_eigenpair
from stepsize.theory.loss_laws import LAWS as LAWS
from stepsize.theory.loss_laws import Annealing as Annealing
from stepsize.theory.loss_laws import Functional as Functional
from stepsize.theory.loss_laws import Law as Law
from stepsize.theory.loss_laws import MultiPower as MultiPower
from stepsize.theory.refinement import refine_schedule as refine_schedule
from stepsize.theory.refinement import resample_norms as resample_norms
from stepsize.theory.refinement import smooth_norms as smooth_norms
from stepsize.theory.smoothing import local_regression as local_regression
from stepsize.theory.stability import largest_stable_rate as largest_stable_rate
from stepsize.theory.stability import stability_threshold as stability_threshold
