"""Who owned which partition when, from the members' moments. Pure."""

from kafka import TopicPartition

from labsupport.delivery.moments import Moment
from labsupport.experiments.watching import plots
from labsupport.experiments.watching.ownership import Aftermath, GroupHistory, Span


def moment(time, member, kind, *partitions, offset=None, generation=None):
    """A moment about partitions of one topic."""
    owned = tuple(TopicPartition("t", number) for number in partitions)
    return Moment(kind, float(time), member, owned, offset, generation=generation)


def history(*moments):
    return GroupHistory.from_moments(moments)


TAKEN_OVER = history(
    moment(10, "A", "started"),
    moment(11, "A", "assigned", 0, 1, generation=1),
    moment(12, "A", "handled", 0, offset=0),
    moment(13, "A", "killed"),
    moment(16, "B", "assigned", 0, 1, generation=2),
    moment(17, "B", "handled", 0, offset=0),
    moment(18, "B", "handled", 1, offset=0),
)


def test_moments_are_ordered_by_time():
    """Each member writes its own file."""
    assert [each.time for each in history(moment(2, "B", "left"), moment(1, "A", "left")).moments] == [1, 2]


def test_a_killed_member_owns_nothing_and_the_gap_lasts_until_the_next_owner():
    """Seconds count from the first moment; spans that have not ended end with the last one."""
    assert TAKEN_OVER.spans == [
        Span("A", 0, 1, 3), Span("B", 0, 6, 8), Span("A", 1, 1, 3), Span("B", 1, 6, 8),
    ]  # fmt: skip
    assert TAKEN_OVER.gaps == [Span("", 0, 3, 6), Span("", 1, 3, 6)]
    (killed,) = TAKEN_OVER.interventions
    assert TAKEN_OVER.longest_gap(killed) == TAKEN_OVER.longest_gap(killed, 1) == 3
    assert TAKEN_OVER.longest_gap(TAKEN_OVER.moments[-1]) == 0
    assert (TAKEN_OVER.assignment("A"), TAKEN_OVER.assignment("B"), TAKEN_OVER.assignment("C")) == ([], [0, 1], None)


def test_records_are_counted_by_member_and_by_partition_and_offset():
    """Both members handled one of them."""
    assert TAKEN_OVER.handled_by_member == {"A": 1, "B": 2}
    assert TAKEN_OVER.handled() == {(0, 0): 2, (1, 0): 1}
    assert TAKEN_OVER.handled("A") == {(0, 0): 1}


def test_the_aftermath_tells_what_the_last_intervention_caused():
    """B leaves: the others give up all they have, and one partition more than B's changes its owner."""
    left = history(
        moment(0, "A", "assigned", 0, generation=1),
        moment(0, "B", "assigned", 1, generation=1),
        moment(0, "C", "assigned", 2, 3, generation=1),
        moment(5, "B", "asked to stop"),
        moment(6, "B", "left"),
        moment(7, "A", "revoked", 0),
        moment(7, "C", "revoked", 2, 3),
        moment(8, "A", "assigned", 0, 2, generation=2),
        moment(8, "C", "assigned", 1, 3, generation=2),
        moment(9, "C", "handled", 1, offset=0),
    )
    assert left.aftermath == Aftermath(standstill=2, rebalances=1, moved=2, given_up=3)


def test_a_second_rebalance_does_not_count_what_is_given_up_again():
    """A slow member can cause one: A then gives up what it had, and what it had just got."""
    twice = history(
        moment(0, "A", "assigned", 0, generation=1),
        moment(0, "B", "assigned", 1, generation=1),
        moment(5, "B", "asked to stop"),
        moment(6, "B", "left"),
        moment(7, "A", "revoked", 0),
        moment(8, "A", "assigned", 0, 1, generation=2),
        moment(9, "A", "revoked", 0, 1),
        moment(9, "A", "assigned", 0, 1, generation=3),
        moment(10, "A", "handled", 1, offset=0),
    )
    assert (twice.aftermath.given_up, twice.aftermath.moved) == (1, 1)


def test_a_static_member_that_returns_causes_no_rebalance():
    """Its assignment is one more of the same generation."""
    back = history(
        moment(0, "A", "assigned", 0, generation=1),
        moment(0, "B", "assigned", 1, generation=1),
        moment(5, "B", "killed"),
        moment(7, "B", "assigned", 1, generation=1),
        moment(8, "B", "handled", 1, offset=0),
    )
    assert back.aftermath == Aftermath(standstill=2, rebalances=0, moved=0, given_up=0)


def test_what_a_member_has_not_committed_is_counted_from_its_last_commit():
    """Of another member nothing counts; without a commit everything does."""
    worked = history(
        moment(1, "A", "handled", 0, offset=0),
        moment(2, "A", "committed", 0, offset=1),
        moment(3, "A", "handled", 0, offset=1),
        moment(4, "B", "handled", 1, offset=0),
        moment(5, "B", "handled", 1, offset=1),
    )
    assert [worked.uncommitted(name) for name in "ABC"] == [1, 2, 0]


def test_a_record_names_who_handled_it_in_the_order_of_time():
    """Not in the order of names."""
    twice = history(moment(2, "A", "handled", 0, offset=7), moment(1, "B", "handled", 0, offset=7))
    assert (twice.who_handled(0, 7), twice.who_handled(1, 7)) == (["B", "A"], [])


def test_an_eager_rebalance_revokes_all_partitions_and_a_cooperative_one_only_the_difference():
    """The assignment is right in both protocols."""
    eager = history(
        moment(0, "A", "assigned", 0, 1, 2), moment(1, "A", "revoked", 0, 1, 2), moment(2, "A", "assigned", 0, 1)
    )
    cooperative = history(moment(0, "A", "assigned", 0, 1), moment(1, "A", "revoked", 1), moment(2, "A", "assigned", 2))
    assert eager.assignment("A") == [0, 1]
    assert cooperative.assignment("A") == [0, 2]
    assert cooperative.spans == [Span("A", 0, 0, 2), Span("A", 1, 0, 1), Span("A", 2, 2, 2)]


def test_a_restarted_member_has_no_known_assignment_until_it_is_assigned():
    """What it owned before it was killed does not count."""
    moments = [moment(0, "A", "assigned", 0), moment(1, "A", "killed"), moment(2, "A", "started")]
    assert history(*moments).assignment("A") is None
    assert history(*moments, moment(3, "A", "assigned")).assignment("A") == []


def test_a_revocation_before_the_first_join_is_no_assignment():
    """The client calls the listener there too; the member would count as settled too early."""
    assert history(moment(0, "D", "started"), moment(1, "D", "revoked")).assignment("D") is None


def test_the_spans_of_two_owners_at_once_overlap():
    """A frozen member does not know that it has lost its partition. That is no gap."""
    frozen = history(
        moment(0, "A", "assigned", 0), moment(1, "A", "frozen"), moment(2, "B", "assigned", 0),
        moment(3, "A", "woken"), moment(4, "A", "lost", 0), moment(5, "B", "left"),
    )  # fmt: skip
    first, second = frozen.spans
    assert first.overlaps(second)
    assert not first.overlaps(first)
    assert frozen.gaps == []
    assert frozen.after(frozen.moments[0]).is_frozen("A") is False
    assert GroupHistory(frozen.moments[:2]).is_frozen("A") is True


def test_a_rebalance_is_complete_when_its_last_member_has_its_assignment():
    """There is one for each generation; a static member that returns in the same generation makes none."""
    rebalanced = history(
        moment(0, "A", "assigned", 0, generation=1), moment(2, "B", "assigned", 1, generation=2),
        moment(1, "A", "assigned", 0, generation=2), moment(9, "A", "assigned", 0, generation=2),
    )  # fmt: skip
    assert rebalanced.rebalances == [0, 2]


def test_a_timeline_names_the_members_and_what_was_done_to_them():
    """Without times: they differ in every run, and nbval compares the description."""
    words = repr(plots.timeline(TAKEN_OVER).figure)
    assert words == "Picture: who had which partition when. Members A, B; A killed."


def test_a_timeline_names_a_member_without_a_partition_too():
    """The second member of a topic with one partition."""
    idle = history(moment(0, "A", "assigned", 0, generation=1), moment(1, "B", "assigned", generation=1))
    assert repr(plots.timeline(idle).figure) == "Picture: who had which partition when. Members A, B."


def test_an_empty_history_can_be_read_and_drawn():
    """It shows nothing and raises nothing."""
    nothing = history()
    assert (nothing.spans, nothing.gaps, nothing.rebalances, nothing.handled_by_member) == ([], [], [], {})
    assert repr(plots.timeline(nothing).figure).startswith("Picture: ")


def test_the_time_in_the_handler_is_that_between_its_begin_and_its_end():
    """One for each record that was handled: no failed attempt, none that a kill has ended, no wait between records."""
    worked = history(
        moment(1, "A", "handling", 0, offset=0),
        moment(2, "B", "handling", 1, offset=0),
        moment(3, "A", "handled", 0, offset=0),
        moment(9, "B", "failed", 1, offset=0),
        moment(10, "A", "handling", 0, offset=1),
        moment(10.5, "A", "handled", 0, offset=1),
        moment(11, "B", "handling", 1, offset=0),
        moment(12, "B", "killed"),
    )
    assert worked.handling_times == [("A", 2.0), ("A", 0.5)]
