"""What `lab.py watch` says is wrong, from snapshots. Pure."""

from kafka import TopicPartition

from labsupport.experiments.watching.lag import PartitionLag
from labsupport.groups import Group, Member
from labsupport.observability.alerts import Limits
from labsupport.observability.group_lag import GroupProgress, Progress, Snapshot
from labsupport.observability.group_watch import GroupWatch, in_words

LIMITS = Limits(age=10, window=5)
MEMBER = Member("A-1", "A", {"orders": [0, 1]})


def partition(number=0, committed=41, end=50, age=20.0, stable=None, note=""):
    """A group's progress in one partition of `orders`."""
    offsets = PartitionLag(number, 0, end, committed)
    return Progress("orders", offsets, end if stable is None else stable, age, note)


def snapshot(at, *partitions, members=(MEMBER,), state="Stable", dead=0):
    """One group, and a topic of dead letters."""
    group = GroupProgress(Group("reports", "classic", state, members), partitions)
    ends = {TopicPartition("orders-dlt", 0): dead, TopicPartition("orders", 0): 50}
    return Snapshot(1_000.0 + at, (group,), dict.fromkeys(ends, 0), ends)


def words(*snapshots):
    """What the last view says of the group."""
    group_watch = GroupWatch(LIMITS)
    return [group_watch.see(each).rows[0].wrong for each in snapshots][-1]


def over_time(count=8, **more):
    """A snapshot a second; `of(second)` gives the partitions."""
    of = more.pop("of")
    return [snapshot(second, *of(second), **more) for second in range(count)]


def test_at_first_sight():
    """One snapshot has no memory: it says what it sees."""
    assert words(snapshot(0, partition(age=3.0))) == ()
    assert words(snapshot(0, partition())) == ("orders/0: its oldest record is 20 s old, and 9 records wait",)
    assert words(snapshot(0, partition(age=3.0), members=(), state="Empty")) == (
        "no member reads it, and records wait: 9 records of orders",
    )
    assert words(snapshot(0, partition(committed=50, age=0.0), members=(), state="Empty")) == ()


def test_a_dead_consumer_with_and_without_traffic():
    """Records arrive, records wait, or nothing comes."""
    arrive = over_time(of=lambda second: [partition(end=50 + second)], members=(), state="Empty")
    assert words(*arrive) == ("no member reads it, and records arrive: 16 records of orders",)
    quiet = over_time(of=lambda second: [partition(committed=50, age=0.0)], members=(), state="Empty")
    assert words(*quiet) == ("no member; without traffic nobody notices",)


def test_a_consumer_without_membership_is_no_dead_one():
    """It commits, and no group knows it."""
    moves = over_time(of=lambda second: [partition(committed=30 + second)], members=(), state="Empty")
    assert words(*moves) == ()


def test_one_partition_stands_still():
    """The other flows: only the one is named, with its offset."""
    stands = over_time(
        of=lambda second: [partition(1, committed=40 + second, age=1.0), partition(2, age=14.0 + second)]
    )
    assert words(*stands) == (
        "orders/2 stands still at offset 41, its oldest record is 21 s old: poison, or a handler that hangs?",
    )
    hidden = over_time(of=lambda second: [partition(age=14.0 + second, stable=41)])
    assert "a transaction that never ends?" in words(*hidden)[0]


def test_a_group_falls_behind_or_catches_up():
    """As old as each other; one lag grows, the other gets smaller."""
    behind = over_time(of=lambda second: [partition(committed=41 + second, end=60 + 3 * second)])
    assert words(*behind) == ("orders/0 falls behind: 33 records wait, its oldest record is 20 s old",)
    drains = over_time(of=lambda second: [partition(committed=10 + 3 * second, end=60)])
    assert words(*drains) == ()


def test_what_retention_deleted_unread_is_said():
    """At once."""
    lost = partition(committed=3, note="out of range, 4 deleted unread")
    assert words(snapshot(0, lost)) == ("orders/0: out of range, 4 deleted unread",)


def test_rebalances_are_seen_while_watching():
    """By the group's state, and by a changed assignment."""
    group_watch = GroupWatch(LIMITS)
    assert group_watch.see(snapshot(0, partition(age=0.0))).rows[0].rebalanced is None
    moving = group_watch.see(snapshot(1, partition(age=0.0), members=(), state="PreparingRebalance")).rows[0]
    assert "in the middle of a rebalance (PreparingRebalance)" in moving.wrong[0]
    alone = Member("B-1", "B", {"orders": [0, 1]})
    assert group_watch.see(snapshot(2, partition(age=0.0), members=(alone,))).rows[0].rebalanced == 0
    assert group_watch.see(snapshot(9, partition(age=0.0), members=(alone,))).rows[0].rebalanced == 7


def test_dead_letters_are_counted_and_those_that_are_new():
    """By topic."""
    group_watch = GroupWatch(LIMITS)
    (first,) = group_watch.see(snapshot(0, dead=4)).dead_letters
    (second,) = group_watch.see(snapshot(1, dead=6)).dead_letters
    assert [(each.topic, each.held, each.new) for each in (first, second)] == [
        ("orders-dlt", 4, 0),
        ("orders-dlt", 6, 2),
    ]


def test_it_forgets_what_no_rule_looks_back_to():
    """An hour of watching costs no more memory than a minute; a group that is gone costs none."""
    group_watch = GroupWatch(LIMITS)
    for each in over_time(1_000, of=lambda second: [partition()]):
        group_watch.see(each)
    assert max(len(series) for series in group_watch._series.values()) <= 8
    group_watch.see(Snapshot(5_000.0, (), {}, {}))
    assert group_watch._series == {}


def test_durations():
    """One unit."""
    assert [in_words(each) for each in (0, 41.4, 119, 720, 7_300, 10_800, 500_000)] == [
        "0 s",
        "41 s",
        "119 s",
        "12 min",
        "2 h",
        "3 h",
        "6 days",
    ]
