"""Which property a trial of the crash search violates, from its outcome. Pure."""

import pytest

from labsupport.delivery.moments import Moment
from labsupport.errors import LabError
from labsupport.experiments.breaking.crash_search import _violation
from labsupport.experiments.breaking.trial import TrialRun
from labsupport.experiments.breaking.trial_runner import Outcome
from labsupport.experiments.watching.balance import Entry, Sheet

LOST = Sheet((Entry("id-1", "ORD-1", "lost"),), ())
STARTED = (Moment("assigned", 0.0, "1"),)


def test_a_trial_that_timed_out_is_not_called_a_loss():
    """What it had done by then proves nothing: it may have been killed between two steps."""
    late = Outcome(TrialRun((), STARTED, "Waited 10 s for yours (1) to end.", timed_out=True), LOST, 0)
    assert _violation(late, allow_duplicates=False)[0] == "no end"


def test_a_loss_without_moments_is_an_error():
    """Processes that failed for good can have lost events, but without a moment nothing shows how."""
    assert (
        _violation(Outcome(TrialRun((), STARTED, "6 processes failed"), LOST, 0), allow_duplicates=False)[0] == "lost"
    )
    with pytest.raises(LabError, match="could not be judged"):
        _violation(Outcome(TrialRun((), ()), LOST, 0), allow_duplicates=False)


@pytest.mark.parametrize(("lag", "said"), [(1, "with 1 record uncommitted"), (2, "with 2 records uncommitted")])
def test_a_number_and_its_noun_agree(lag, said):
    """1 record, 2 records."""
    sheet = Sheet((Entry("id-1", "ORD-1", "processed", 1),), ())
    assert said in _violation(Outcome(TrialRun((), STARTED), sheet, lag), allow_duplicates=False)[1]
