"""The worker's accounts: whatever comes in whatever order, never is more committed than is done."""

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
    """A consumer: its accounts, where it reads on, and what it has in hand."""

    def __init__(self, accounts: OffsetTracker, committed: dict[int, int]):
        self.accounts, self.position, self.in_hand = accounts, dict(committed), []


class Service(RuleBasedStateMachine):
    """A service with the inbox: records come, fail, come again; members crash, lose partitions, freeze and wake."""

    accounts = OffsetTracker

    def __init__(self):
        super().__init__()
        self.database = sqlite3.connect(":memory:")
        self.database.execute(orders.TABLE)
        self.database.execute(inbox.TABLE)
        self.committed = dict.fromkeys(LOG, 0)
        self.done: set[tuple[int, int]] = set()
        self.member, self.zombie = Member(self.accounts(), self.committed), None

    def teardown(self):
        """Left alone, it comes to its end: every event has its effect, once."""
        self.restart()
        for place, ids in LOG.items():
            self.deliver(place, len(ids))
            while self.member.in_hand:
                self.work_off(self.member, 0)
        self.commit(refused=False)
        self.no_event_has_two_effects_and_each_has_one_outcome()
        assert self.committed == {place: len(ids) for place, ids in LOG.items()}
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
        place, offset = member.in_hand.pop(choice % len(member.in_hand))
        self.process(LOG[place][offset], crash=False)
        self.done.add((place, offset))
        member.accounts.ack(place, offset)

    def restart(self) -> None:
        self.member = Member(self.accounts(), self.committed)

    @rule(place=PARTITIONS, count=st.integers(1, 3))
    def deliver(self, place, count):
        begin = self.member.position[place]
        offsets = range(begin, min(begin + count, len(LOG[place])))
        self.member.position[place] = begin + len(offsets)
        self.member.accounts.delivered(place, offsets)
        self.member.in_hand += [(place, offset) for offset in offsets]

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
        """The consumer goes back to the record; what is behind it in its partition will come again too."""
        place, offset = self.member.in_hand[choice % len(self.member.in_hand)]
        if self.member.accounts.owns(place, offset):
            self.member.accounts.take_back(place, offset)
            self.member.in_hand = [each for each in self.member.in_hand if each[0] != place or each[1] < offset]
            self.member.position[place] = offset

    @rule()
    def crash(self):
        self.restart()

    @precondition(lambda self: self.member.in_hand)
    @rule(choice=st.integers(0, 10))
    def crash_while_processing(self, choice):
        place, offset = self.member.in_hand[choice % len(self.member.in_hand)]
        try:
            self.process(LOG[place][offset], crash=True)
        except CrashError:
            self.restart()

    @rule(place=PARTITIONS)
    def rebalance(self, place):
        """The partition goes, and comes again; what was handed out of it before is still in hand."""
        self.member.accounts.gone([place])
        self.member.position[place] = self.committed[place]

    @rule()
    def freeze(self):
        self.zombie = self.member
        self.restart()

    @precondition(lambda self: self.zombie and self.zombie.in_hand)
    @rule(choice=st.integers(0, 10))
    def wake(self, choice):
        self.work_off(self.zombie, choice)
        self.zombie.accounts.committed(self.zombie.accounts.committable)  # its commit is refused

    @rule(refused=st.booleans())
    def commit(self, refused):
        due = self.member.accounts.committable
        if not refused:
            self.committed |= due
        self.member.accounts.committed(due)

    @invariant()
    def nothing_is_committed_that_is_not_done(self):
        for place, committed in self.committed.items():
            assert all((place, offset) in self.done for offset in range(committed))

    @invariant()
    def no_event_has_two_effects_and_each_has_one_outcome(self):
        effects = dict(self.database.execute("SELECT event_id, count(*) FROM effects GROUP BY event_id"))
        sheet = balance.of(RECORDS, self.committed, effects)
        assert sheet.count("produced") == 6 == sum(sheet.count(outcome) for outcome in balance.OUTCOMES)
        assert (sheet.count("twice"), sheet.count("lost"), sheet.strangers) == (0, 0, ())


RECORDS = [
    SimpleNamespace(
        topic="t", partition=place, offset=offset, key=b"k", value=b"", headers=[("event_id", event_id.encode())]
    )
    for place, ids in LOG.items()
    for offset, event_id in enumerate(ids)
]

TestService = Service.TestCase
TestService.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


class CommitsFirst(OffsetTracker):
    """What was handed out counts as done."""

    def delivered(self, place, offsets):
        super().delivered(place, offsets)
        for offset in offsets:
            self._due[place] = offset + 1


class CommitsPastGaps(OffsetTracker):
    """The last one that is done is what is committed."""

    def ack(self, place, offset):
        if self.owns(place, offset):
            self._due[place] = max(self._due.get(place, 0), offset + 1)


class CommitsFirstService(Service):
    accounts = CommitsFirst


class CommitsPastGapsService(Service):
    accounts = CommitsPastGaps


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
        place, offset = member.in_hand.pop(choice % len(member.in_hand))
        inbox.once(self.database, f"{place}-{offset}", lambda: self.effect(LOG[place][offset]))
        self.done.add((place, offset))
        member.accounts.ack(place, offset)


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
    accounts = OffsetTracker()
    accounts.delivered("p", [3, 4, 7])
    accounts.delivered("q", [0])
    accounts.ack("p", 4)
    assert accounts.committable == {}
    accounts.ack("p", 3)
    assert accounts.committable == {"p": 5}
    accounts.ack("p", 7)
    accounts.ack("q", 0)
    assert accounts.committable == {"p": 8, "q": 1}
    accounts.committed({"p": 8})
    assert accounts.committable == {"q": 1}


def test_what_is_no_longer_ours_is_not_committed():
    """A record that is finished after its partition has gone counts for nobody."""
    accounts = OffsetTracker()
    accounts.delivered("p", [0, 1])
    accounts.ack("p", 0)
    accounts.gone(["p"])
    accounts.ack("p", 1)
    assert accounts.committable == {}
    assert not accounts.owns("p", 1)


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
