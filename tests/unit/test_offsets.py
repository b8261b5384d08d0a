"""The worker's offset tracker: in any order of events, it never commits more than is done."""

import sqlite3
from types import SimpleNamespace

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from labsupport.delivery import inbox, orders
from labsupport.delivery.offsets import OffsetTracker
from labsupport.experiments.watching import balance

# Two partitions; the event "b" was published twice.
LOG = {0: ["a", "b", "c", "b"], 1: ["d", "e", "f"]}
PARTITIONS = st.sampled_from(sorted(LOG))


class CrashError(Exception):
    """The process died here."""


class Member:
    """A consumer: its tracker, its positions, and the records it has in hand."""

    def __init__(self, tracker: OffsetTracker, committed: dict[int, int]):
        self.tracker, self.position, self.in_hand = tracker, dict(committed), []


class Service(RuleBasedStateMachine):
    """A service with the inbox: records fail and are redelivered; members crash, lose partitions, freeze and wake."""

    tracker = OffsetTracker

    def __init__(self):
        super().__init__()
        self.database = sqlite3.connect(":memory:")
        self.database.execute(orders.TABLE)
        self.database.execute(inbox.TABLE)
        self.committed = dict.fromkeys(LOG, 0)
        self.done: set[tuple[int, int]] = set()
        self.member, self.zombie = Member(self.tracker(), self.committed), None

    def teardown(self):
        """Left alone, it comes to its end: every event has its effect, once."""
        self.restart()
        for partition, ids in LOG.items():
            self.deliver(partition, len(ids))
            while self.member.in_hand:
                self.work_off(self.member, 0)
        self.commit(refused=False)
        self.no_event_has_two_effects_and_each_has_one_outcome()
        assert self.committed == {partition: len(ids) for partition, ids in LOG.items()}
        self.database.close()

    def effect(self, event_id: str) -> None:
        self.database.execute("INSERT INTO effects VALUES (?, '', '')", (event_id,))

    def process(self, event_id: str, crash: bool) -> None:
        """What the handler does; with `crash` the process dies when the effect is written and not all is done."""

        def effect():
            self.effect(event_id)
            if crash:
                raise CrashError

        inbox.once(self.database, event_id, effect)

    def work_off(self, member: Member, choice: int) -> None:
        partition, offset = member.in_hand.pop(choice % len(member.in_hand))
        self.process(LOG[partition][offset], crash=False)
        self.done.add((partition, offset))
        member.tracker.ack(partition, offset)

    def restart(self) -> None:
        self.member = Member(self.tracker(), self.committed)

    @rule(partition=PARTITIONS, count=st.integers(1, 3))
    def deliver(self, partition, count):
        begin = self.member.position[partition]
        offsets = range(begin, min(begin + count, len(LOG[partition])))
        self.member.position[partition] = begin + len(offsets)
        self.member.tracker.delivered(partition, offsets)
        self.member.in_hand += [(partition, offset) for offset in offsets]

    @precondition(lambda self: self.member.in_hand)
    @rule(choice=st.integers(0, 10))
    def finish(self, choice):
        self.work_off(self.member, choice)

    @precondition(lambda self: self.member.in_hand)
    @rule(choice=st.integers(0, 10))
    def fail(self, choice):
        self.member.in_hand.pop(choice % len(self.member.in_hand))

    @precondition(lambda self: self.member.in_hand)
    @rule(choice=st.integers(0, 10))
    def retry_later(self, choice):
        """The consumer seeks back to the record; later records of its partition are redelivered too."""
        partition, offset = self.member.in_hand[choice % len(self.member.in_hand)]
        if self.member.tracker.owns(partition, offset):
            self.member.tracker.take_back(partition, offset)
            self.member.in_hand = [each for each in self.member.in_hand if each[0] != partition or each[1] < offset]
            self.member.position[partition] = offset

    @rule()
    def crash(self):
        self.restart()

    @precondition(lambda self: self.member.in_hand)
    @rule(choice=st.integers(0, 10))
    def crash_while_processing(self, choice):
        partition, offset = self.member.in_hand[choice % len(self.member.in_hand)]
        try:
            self.process(LOG[partition][offset], crash=True)
        except CrashError:
            self.restart()

    @rule(partition=PARTITIONS)
    def rebalance(self, partition):
        """The partition is revoked and assigned again; records delivered before are still in hand."""
        self.member.tracker.gone([partition])
        self.member.position[partition] = self.committed[partition]

    @rule()
    def freeze(self):
        self.zombie = self.member
        self.restart()

    @precondition(lambda self: self.zombie and self.zombie.in_hand)
    @rule(choice=st.integers(0, 10))
    def wake(self, choice):
        self.work_off(self.zombie, choice)
        self.zombie.tracker.committed(self.zombie.tracker.committable)  # its commit is refused

    @rule(refused=st.booleans())
    def commit(self, refused):
        due = self.member.tracker.committable
        if not refused:
            self.committed |= due
        self.member.tracker.committed(due)

    @invariant()
    def nothing_is_committed_that_is_not_done(self):
        for partition, committed in self.committed.items():
            assert all((partition, offset) in self.done for offset in range(committed))

    @invariant()
    def no_event_has_two_effects_and_each_has_one_outcome(self):
        effects = dict(self.database.execute("SELECT event_id, count(*) FROM effects GROUP BY event_id"))
        sheet = balance.compute(RECORDS, self.committed, effects)
        assert sheet.count("produced") == 6 == sum(sheet.count(outcome) for outcome in balance.OUTCOMES)
        assert (sheet.count("twice"), sheet.count("lost"), sheet.orphans) == (0, 0, ())


RECORDS = [
    SimpleNamespace(
        topic="t", partition=partition, offset=offset, key=b"k", value=b"", headers=[("event_id", event_id.encode())]
    )
    for partition, ids in LOG.items()
    for offset, event_id in enumerate(ids)
]

TestService = Service.TestCase
TestService.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


class CommitsFirst(OffsetTracker):
    """Delivered records count as done."""

    def delivered(self, partition, offsets):
        super().delivered(partition, offsets)
        for offset in offsets:
            self._due[partition] = offset + 1


class CommitsPastGaps(OffsetTracker):
    """The last one that is done is what is committed."""

    def ack(self, partition, offset):
        if self.owns(partition, offset):
            self._due[partition] = max(self._due.get(partition, 0), offset + 1)


class CommitsFirstService(Service):
    tracker = CommitsFirst


class CommitsPastGapsService(Service):
    tracker = CommitsPastGaps


class NoInbox(Service):
    def process(self, event_id, crash):  # noqa: ARG002
        with self.database:
            self.effect(event_id)


class InboxInAnotherTransaction(Service):
    def process(self, event_id, crash):
        if self.database.execute("SELECT 1 FROM inbox WHERE event_id = ?", (event_id,)).fetchone():
            return
        with self.database:
            self.effect(event_id)
        if crash:
            raise CrashError
        with self.database:
            self.database.execute("INSERT INTO inbox VALUES (?, 0)", (event_id,))


class OffsetAsId(Service):
    def work_off(self, member, choice):
        partition, offset = member.in_hand.pop(choice % len(member.in_hand))
        inbox.once(self.database, f"{partition}-{offset}", lambda: self.effect(LOG[partition][offset]))
        self.done.add((partition, offset))
        member.tracker.ack(partition, offset)


@pytest.mark.parametrize(
    "broken", [CommitsFirstService, CommitsPastGapsService, NoInbox, InboxInAnotherTransaction, OffsetAsId]
)
def test_the_same_rules_catch_what_is_known_to_be_wrong(broken):
    """Commit first, past a gap; no inbox, one in another transaction, one that takes the offset for an id."""
    found_is_enough = {"phases": [Phase.generate], "report_multiple_bugs": False, "database": None, "derandomize": True}
    thorough = settings(max_examples=1_000, stateful_step_count=30, deadline=None, **found_is_enough)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(broken, settings=thorough)


def test_what_is_finished_out_of_order_waits_for_what_is_before_it():
    """Per partition; records that the log has no more leave no gap."""
    tracker = OffsetTracker()
    tracker.delivered("p", [3, 4, 7])
    tracker.delivered("q", [0])
    tracker.ack("p", 4)
    assert tracker.committable == {}
    tracker.ack("p", 3)
    assert tracker.committable == {"p": 5}
    tracker.ack("p", 7)
    tracker.ack("q", 0)
    assert tracker.committable == {"p": 8, "q": 1}
    tracker.committed({"p": 8})
    assert tracker.committable == {"q": 1}


def test_what_is_no_longer_ours_is_not_committed():
    """A record finished after its partition was revoked does not count."""
    tracker = OffsetTracker()
    tracker.delivered("p", [0, 1])
    tracker.ack("p", 0)
    tracker.gone(["p"])
    tracker.ack("p", 1)
    assert tracker.committable == {}
    assert not tracker.owns("p", 1)


def test_a_commit_that_got_no_answer_stays_due():
    """What was finished meanwhile is due too, and a late answer does not settle it."""
    offsets = OffsetTracker()
    offsets.delivered("p", [0, 1])
    offsets.ack("p", 0)
    asked = offsets.committable
    offsets.ack("p", 1)
    offsets.committed(asked)
    assert offsets.committable == {"p": 2}


def test_what_is_taken_back_is_handed_out_again():
    """A record that is tried again later, and those behind it; what is before it stays due."""
    offsets = OffsetTracker()
    offsets.delivered("p", [0, 1, 2, 3])
    offsets.ack("p", 0)
    offsets.ack("p", 2)
    offsets.take_back("p", 1)
    assert offsets.committable == {"p": 1}
    assert not any(offsets.owns("p", offset) for offset in (1, 2, 3))
    offsets.take_back("q", 0)  # a partition that has gone
    offsets.delivered("p", [1, 2, 3])
    offsets.ack("p", 1)
    assert offsets.committable == {"p": 2}
