"""Conformance: what every schedule, rule and task must hold to, ours and yours.

Each check is a plain function that returns nothing, or raises AssertionError that says which law failed::

    from stepsize.testing import check_schedule

    def test_my_schedule_keeps_the_laws():
        check_schedule(MySchedule(0.1, 0.0, "30%"))
"""

from stepsize.testing.rules import check_rule as check_rule
from stepsize.testing.schedules import check_schedule as check_schedule
from stepsize.testing.tasks import check_task as check_task
from stepsize.testing.values import check_value as check_value
