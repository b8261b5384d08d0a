"""An hour on the broker is as it is computed: what lesson 14 shows and exercise 14-2 is judged on."""

import pytest

from labsupport import lesson
from labsupport.observability.time_lapse import Plan, play

DIES = (30,) * 5 + (0,) * 7
PLANS = {
    "a batch job": Plan((5,) * 3 + (100,) + (5,) * 8, (30,) * 12),
    "poison": Plan((2,) * 12, (30,) * 12, poison=7),
    "dead": Plan((20,) * 12, DIES),
    "dead, without traffic": Plan((5,) * 5 + (0,) * 7, DIES),
    "back again": Plan((10,) * 12, (30, 30, 0, 0, 0, *(30,) * 7)),
    "too slow": Plan((6,) * 12, (4,) * 12),
}


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("97")


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_an_hour_on_the_broker_is_as_computed(plan, lab):
    """Lag, age and members in each minute, and the age of each event when it was handled."""
    assert play(lab, lab.topic("hour"), lab.group("hour"), plan) == plan.expected()
