"""Right answers beside busy loops, as `soak --only verdicts` plays them all."""

import psutil
import pytest

from labsupport.commands import soak_verdicts
from labsupport.course import exercises
from labsupport.course.verdict import Outcome, Verdict
from labsupport.waiting import until


def test_right_answers_beside_a_busy_loop_are_not_called_wrong():
    """All styles of one exercise; the loops end with it."""
    before = set(psutil.Process().children(recursive=True))
    played = list(soak_verdicts.play(["00"], rounds=2, loops=2))
    assert len(played) == 2 * (1 + len(exercises.by_id()["00-1"].other_styles))
    assert not [told for told in played if soak_verdicts.wrong(told[1])]

    def loops():
        new = set(psutil.Process().children(recursive=True)) - before
        return [each for each in new if each.status() != psutil.STATUS_ZOMBIE and soak_verdicts.LOOP in each.cmdline()]

    until(lambda: not loops(), 300, "the busy loops to end")


@pytest.mark.parametrize("outcome", Outcome)
def test_only_a_pass_and_a_busy_lab_are_fit_for_a_right_answer(outcome):
    """LAB DOWN would be wrong too: Kafka runs."""
    assert soak_verdicts.wrong(Verdict("00-1", outcome)) == (outcome not in (Outcome.PASS, Outcome.LAB_BUSY))
