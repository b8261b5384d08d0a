"""What is said of a trial of the crash search, from what was seen of it."""

import pytest

from labsupport.delivery.moments import Moment
from labsupport.errors import LabError
from labsupport.experiments.breaking.crash_search import _broken
from labsupport.experiments.breaking.trial import Played
from labsupport.experiments.breaking.trial_runner import Ended
from labsupport.experiments.watching.balance import Entry, Sheet

LOST = Sheet((Entry("id-1", "ORD-1", "lost"),), ())
BEGAN = (Moment("assigned", 0.0, "1"),)


def test_a_trial_that_took_too_long_is_not_called_a_loss():
    """What it had done until then proves nothing: it may have been killed between two steps."""
    late = Ended(Played((), BEGAN, "Waited 10 s for yours (1) to end.", late=True), LOST, 0)
    assert _broken(late, twice_is_fine=False)[0] == "no end"


def test_a_loss_is_told_with_a_story_or_not_at_all():
    """Processes that failed for good may have lost events; but one that told nothing shows nothing."""
    assert _broken(Ended(Played((), BEGAN, "6 processes failed"), LOST, 0), twice_is_fine=False)[0] == "lost"
    with pytest.raises(LabError, match="could not be judged"):
        _broken(Ended(Played((), ()), LOST, 0), twice_is_fine=False)


@pytest.mark.parametrize(("lag", "said"), [(1, "with 1 record uncommitted"), (2, "with 2 records uncommitted")])
def test_one_record_is_not_called_1_records(lag, said):
    """A number and its noun agree."""
    sheet = Sheet((Entry("id-1", "ORD-1", "processed", 1),), ())
    assert said in _broken(Ended(Played((), BEGAN), sheet, lag), twice_is_fine=False)[1]
