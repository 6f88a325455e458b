"""Jobs: the range test, the race, the advice."""

from stepsize.jobs.advise import advise as advise
from stepsize.jobs.base import Runner as Runner
from stepsize.jobs.journal import Journal as Journal
from stepsize.jobs.race import RungPlan as RungPlan
from stepsize.jobs.race import race as race
from stepsize.jobs.range_test import range_test as range_test
from stepsize.jobs.suggest import suggest as suggest
