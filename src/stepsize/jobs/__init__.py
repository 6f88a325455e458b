"""Jobs: the range test, the race, the advice."""

from stepsize.jobs.advice import advise as advise
from stepsize.jobs.base import Runner as Runner
from stepsize.jobs.journal import Journal as Journal
from stepsize.jobs.races import RungPlan as RungPlan
from stepsize.jobs.races import race as race
from stepsize.jobs.range_tests import range_test as range_test
from stepsize.jobs.suggestions import suggest as suggest
