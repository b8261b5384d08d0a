"""Who owned what when, from what members told: pure."""

from kafka import TopicPartition

from labsupport.delivery.moments import Moment
from labsupport.experiments.watching import plots
from labsupport.experiments.watching.ownership import History, Span


def moment(at, who, what, *partitions, offset=None, generation=None):
    """A moment about partitions of one topic."""
    places = tuple(TopicPartition("t", number) for number in partitions)
    return Moment(what, float(at), who, places, offset, generation=generation)


def history(*moments):
    return History.of(moments)


TAKEN_OVER = history(
    moment(10, "A", "started"),
    moment(11, "A", "assigned", 0, 1, generation=1),
    moment(12, "A", "handled", 0, offset=0),
    moment(13, "A", "killed"),
    moment(16, "B", "assigned", 0, 1, generation=2),
    moment(17, "B", "handled", 0, offset=0),
    moment(18, "B", "handled", 1, offset=0),
)


def test_moments_are_put_in_the_order_of_time():
    """Members write on their own; what was first comes first."""
    assert [each.time for each in history(moment(2, "B", "left"), moment(1, "A", "left")).moments] == [1, 2]


def test_a_killed_member_has_nothing_and_the_gap_lasts_until_the_next_owner():
    """Seconds count from the first moment; what has not ended ends with the last one."""
    assert TAKEN_OVER.spans == [
        Span("A", 0, 1, 3), Span("B", 0, 6, 8), Span("A", 1, 1, 3), Span("B", 1, 6, 8),
    ]  # fmt: skip
    assert TAKEN_OVER.gaps == [Span("", 0, 3, 6), Span("", 1, 3, 6)]
    (killed,) = TAKEN_OVER.done_to
    assert TAKEN_OVER.standstill(killed) == TAKEN_OVER.standstill(killed, 1) == 3
    assert TAKEN_OVER.standstill(TAKEN_OVER.moments[-1]) == 0
    assert (TAKEN_OVER.owned("A"), TAKEN_OVER.owned("B"), TAKEN_OVER.owned("C")) == ([], [0, 1], None)


def test_records_are_counted_by_member_and_by_place():
    """One was handled by both."""
    assert TAKEN_OVER.by_member == {"A": 1, "B": 2}
    assert TAKEN_OVER.handled() == {(0, 0): 2, (1, 0): 1}
    assert TAKEN_OVER.handled("A") == {(0, 0): 1}


def test_an_eager_rebalance_takes_all_and_gives_again_a_cooperative_one_only_the_difference():
    """Both ways a member's own account is right."""
    eager = history(
        moment(0, "A", "assigned", 0, 1, 2), moment(1, "A", "revoked", 0, 1, 2), moment(2, "A", "assigned", 0, 1)
    )
    cooperative = history(moment(0, "A", "assigned", 0, 1), moment(1, "A", "revoked", 1), moment(2, "A", "assigned", 2))
    assert eager.owned("A") == [0, 1]
    assert cooperative.owned("A") == [0, 2]
    assert cooperative.spans == [Span("A", 0, 0, 2), Span("A", 1, 0, 1), Span("A", 2, 2, 2)]


def test_a_restarted_member_has_not_heard_until_it_is_assigned():
    """What it had before it was killed says nothing."""
    moments = [moment(0, "A", "assigned", 0), moment(1, "A", "killed"), moment(2, "A", "started")]
    assert history(*moments).owned("A") is None
    assert history(*moments, moment(3, "A", "assigned")).owned("A") == []


def test_a_member_that_gives_up_nothing_before_its_first_join_has_not_heard_yet():
    """The client calls the listener there, too; a member without a partition would count as settled too early."""
    assert history(moment(0, "D", "started"), moment(1, "D", "revoked")).owned("D") is None


def test_two_owners_at_once_meet():
    """A frozen member does not know that it has lost its partition; that is no gap."""
    frozen = history(
        moment(0, "A", "assigned", 0), moment(1, "A", "frozen"), moment(2, "B", "assigned", 0),
        moment(3, "A", "woken"), moment(4, "A", "lost", 0), moment(5, "B", "left"),
    )  # fmt: skip
    first, second = frozen.spans
    assert first.meets(second)
    assert not first.meets(first)
    assert frozen.gaps == []
    assert frozen.after(frozen.moments[0]).frozen("A") is False
    assert History(frozen.moments[:2]).frozen("A") is True


def test_a_rebalance_is_done_when_its_last_member_has_been_told():
    """One for each generation; a static member that comes back in the same one makes none."""
    told = history(
        moment(0, "A", "assigned", 0, generation=1), moment(2, "B", "assigned", 1, generation=2),
        moment(1, "A", "assigned", 0, generation=2), moment(9, "A", "assigned", 0, generation=2),
    )  # fmt: skip
    assert told.rebalances == [0, 2]


def test_a_timeline_says_in_words_who_there_was_and_what_was_done():
    """No times: they differ in every run, and nbval compares the words."""
    words = repr(plots.timeline(TAKEN_OVER).figure)
    assert words == "Picture: who had which partition when. Members A, B; A killed."


def test_a_member_without_a_partition_is_in_the_timelines_words_too():
    """The fourth of three partitions; and nothing was done to anybody."""
    idle = history(moment(0, "A", "assigned", 0, generation=1), moment(1, "B", "assigned", generation=1))
    assert repr(plots.timeline(idle).figure) == "Picture: who had which partition when. Members A, B."


def test_an_empty_history_can_be_asked_and_drawn():
    """Nothing has happened: nothing is shown, and nothing fails."""
    nothing = history()
    assert (nothing.spans, nothing.gaps, nothing.rebalances, nothing.by_member) == ([], [], [], {})
    assert repr(plots.timeline(nothing).figure).startswith("Picture: ")
