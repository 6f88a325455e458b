"""Pictures of schedules, sweeps, curves and races; each function returns the matplotlib Axes that it drew on."""

from stepsize.plots.advice import plot_advice as plot_advice
from stepsize.plots.advice import plot_search_course as plot_search_course
from stepsize.plots.animations import animate as animate
from stepsize.plots.curves import plot_curves as plot_curves
from stepsize.plots.landscape import plot_arrivals as plot_arrivals
from stepsize.plots.landscape import plot_basins as plot_basins
from stepsize.plots.landscape import plot_paths as plot_paths
from stepsize.plots.landscape import plot_rates as plot_rates
from stepsize.plots.landscape import side_by_side as side_by_side
from stepsize.plots.loss_laws import plot_norms as plot_norms
from stepsize.plots.loss_laws import plot_prediction as plot_prediction
from stepsize.plots.loss_laws import plot_refinement as plot_refinement
from stepsize.plots.race import plot_race as plot_race
from stepsize.plots.race import plot_sensitivity as plot_sensitivity
from stepsize.plots.range_test import plot_sweep as plot_sweep
from stepsize.plots.rate_grid import plot_rate_grid as plot_rate_grid
from stepsize.plots.routes import plot_coordinates as plot_coordinates
from stepsize.plots.routes import plot_profile as plot_profile
from stepsize.plots.routes import plot_routes as plot_routes
from stepsize.plots.rungs import plot_chances as plot_chances
from stepsize.plots.rungs import plot_rungs as plot_rungs
from stepsize.plots.schedules import plot_policy as plot_policy
from stepsize.plots.schedules import plot_schedule as plot_schedule
from stepsize.plots.schedules import plot_schedules as plot_schedules
from stepsize.plots.terminal import sketch as sketch
