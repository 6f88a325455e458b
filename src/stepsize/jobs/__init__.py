"""Jobs: the range test, the race, the advice; refining schedules, and predicting what others would do."""

from stepsize.execution.journal import Journal as Journal
from stepsize.execution.runner import Runner as Runner
from stepsize.jobs.advise.advise import advise as advise
from stepsize.jobs.advise.batch_sizes import advise_batches as advise_batches
from stepsize.jobs.csv_logs import loss_curves as loss_curves
from stepsize.jobs.csv_logs import read_norms as read_norms
from stepsize.jobs.loss_laws.predict import led as led
from stepsize.jobs.loss_laws.predict import predict as predict
from stepsize.jobs.loss_laws.record import predict_task as predict_task
from stepsize.jobs.race.budget import Budget as Budget
from stepsize.jobs.race.race import race as race
from stepsize.jobs.race.rungs import RungPlan as RungPlan
from stepsize.jobs.race.rungs import halving as halving
from stepsize.jobs.race.rungs import screening as screening
from stepsize.jobs.race.strategy_files import read_strategies as read_strategies
from stepsize.jobs.range_test.hyperparameter_sweep import sweep_hyperparameter as sweep_hyperparameter
from stepsize.jobs.range_test.range_test import range_test as range_test
from stepsize.jobs.range_test.rate_grid import rate_grid as rate_grid
from stepsize.jobs.range_test.search import estimate_rate as estimate_rate
from stepsize.jobs.range_test.search import find_rate as find_rate
from stepsize.jobs.range_test.suggest import at_rate as at_rate
from stepsize.jobs.range_test.suggest import suggest as suggest
from stepsize.jobs.refine import refine as refine
from stepsize.jobs.refine import refine_task as refine_task
from stepsize.jobs.transfer import transfer as transfer
