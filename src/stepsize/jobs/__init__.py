"""Jobs: the range test, the race, the advice; refining schedules, and predicting what others would do."""

from stepsize.jobs.advice import advise as advise
from stepsize.jobs.base import Runner as Runner
from stepsize.jobs.batches import advise_batches as advise_batches
from stepsize.jobs.budgets import Budget as Budget
from stepsize.jobs.fans import fan as fan
from stepsize.jobs.finders import compare as compare
from stepsize.jobs.journal import Journal as Journal
from stepsize.jobs.logs import loss_curves as loss_curves
from stepsize.jobs.logs import read_norms as read_norms
from stepsize.jobs.predictions import led as led
from stepsize.jobs.predictions import predict as predict
from stepsize.jobs.races import race as race
from stepsize.jobs.range_tests import ramp_steps as ramp_steps
from stepsize.jobs.range_tests import range_test as range_test
from stepsize.jobs.recordings import predict_task as predict_task
from stepsize.jobs.refinements import refine as refine
from stepsize.jobs.refinements import refine_task as refine_task
from stepsize.jobs.rungs import RungPlan as RungPlan
from stepsize.jobs.rungs import halving as halving
from stepsize.jobs.rungs import screening as screening
from stepsize.jobs.searches import find_rate as find_rate
from stepsize.jobs.suggestions import at_rate as at_rate
from stepsize.jobs.suggestions import peak as peak
from stepsize.jobs.suggestions import suggest as suggest
from stepsize.jobs.transfers import transferred as transferred
from stepsize.jobs.values import value_test as value_test
