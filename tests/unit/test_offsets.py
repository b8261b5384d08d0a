"""What is done and may be committed: any course of events keeps what lesson 07 promises. Pure, hypothesis."""

import sqlite3
from contextlib import closing

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from labsupport.events import inbox
from labsupport.events.offsets import Offsets

EVENTS = 6  # in one partition; an event's id is its offset, as text


def test_what_is_due_is_the_next_offset_and_never_passes_a_gap():
    """Record 1 is finished before record 0: nothing may be committed; then both at once."""
    offsets = Offsets()
    offsets.hand_out("p", [0, 1, 2])
    offsets.finish("p", 1)
    assert offsets.due == {}
    offsets.finish("p", 0)
    assert offsets.due == {"p": 2}
    offsets.settle(offsets.due)
    assert offsets.due == {}
    assert offsets.holds("p", 2)


def test_what_was_taken_away_is_nobodys_to_commit():
    """Neither what was due there nor what is finished there afterwards; other partitions keep theirs."""
    offsets = Offsets()
    for place in "p", "q":
        offsets.hand_out(place, [0, 1])
        offsets.finish(place, 0)
    offsets.gone(["p"])
    offsets.finish("p", 1)
    assert offsets.due == {"q": 1}
    assert not offsets.holds("p", 1)


def test_a_commit_that_got_no_answer_stays_due():
    """What was finished meanwhile is due too, and a late answer does not settle it."""
    offsets = Offsets()
    offsets.hand_out("p", [0, 1])
    offsets.finish("p", 0)
    asked = offsets.due
    offsets.finish("p", 1)
    offsets.settle(asked)
    assert offsets.due == {"p": 2}


def test_what_is_taken_back_is_handed_out_again():
    """A record that is tried again later, and those behind it; what is before it stays due."""
    offsets = Offsets()
    offsets.hand_out("p", [0, 1, 2, 3])
    offsets.finish("p", 0)
    offsets.finish("p", 2)
    offsets.take_back("p", 1)
    assert offsets.due == {"p": 1}
    assert not any(offsets.holds("p", offset) for offset in (1, 2, 3))
    offsets.take_back("q", 0)  # a partition that has gone
    offsets.hand_out("p", [1, 2, 3])
    offsets.finish("p", 1)
    assert offsets.due == {"p": 2}


class Delivery(RuleBasedStateMachine):
    """A partition, a broker that remembers one offset, and a service with an inbox that may do anything but lie."""

    def __init__(self):
        super().__init__()
        self.database = sqlite3.connect(":memory:")
        self.database.execute(inbox.TABLE)
        self.database.execute("CREATE TABLE effects (event_id TEXT)")
        self.committed, self.position = 0, 0
        self.offsets, self.in_hand = Offsets(), []

    @rule(count=st.integers(1, 3))
    def deliver(self, count):
        """A poll hands out the next records."""
        batch = list(range(self.position, min(self.position + count, EVENTS)))
        self.offsets.hand_out("p", batch)
        self.in_hand += batch
        self.position += len(batch)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def process(self, data):
        """Any record in hand, in whatever order: a pool of threads would do that."""
        offset = data.draw(st.sampled_from(self.in_hand))
        self.in_hand.remove(offset)
        self._handle(offset)
        self.offsets.finish("p", offset)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data(), halfway=st.booleans())
    def crash_while_processing(self, data, halfway):
        """Before the record is finished; with its effect in the database, or without."""
        if halfway:
            self._handle(data.draw(st.sampled_from(self.in_hand)))
        self.crash()

    @rule()
    def fail(self):
        """The handler raises: the worker stops, and is started again."""
        self.commit()
        self.crash()

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def retry(self, data):
        """A record fails and is to be tried again later: the consumer goes back to it."""
        offset = data.draw(st.sampled_from(self.in_hand))
        self.offsets.take_back("p", offset)
        self.in_hand = [each for each in self.in_hand if each < offset]
        self.position = offset

    @rule()
    def crash(self):
        """All that was in memory is gone; the next process begins at what is committed."""
        self.offsets, self.in_hand, self.position = Offsets(), [], self.committed

    @rule()
    def rebalance(self):
        """The partition goes and comes back: work in hand may go on, but counts no more."""
        self.offsets.gone(["p"])
        self.in_hand, self.position = [], self.committed

    @rule(answered=st.booleans())
    def commit(self, answered=True):
        """The broker takes what is due; its answer may be lost."""
        due = self.offsets.due
        self.committed = max(self.committed, due.get("p", 0))
        if answered:
            self.offsets.settle(due)

    def _handle(self, offset):
        insert = ("INSERT INTO effects VALUES (?)", (str(offset),))
        inbox.once(self.database, str(offset), lambda: self.database.execute(*insert))

    def _effects(self):
        rows = self.database.execute("SELECT event_id, count(*) FROM effects GROUP BY event_id")
        return {int(event_id): count for event_id, count in rows}

    @invariant()
    def committed_never_passes_what_is_unfinished(self):
        """So nothing is lost, whatever happens next: each event below it has its effect."""
        effects = self._effects()
        assert all(effects.get(offset) for offset in range(self.committed))

    @invariant()
    def an_event_has_one_effect_at_most(self):
        """However often it was delivered."""
        assert all(count == 1 for count in self._effects().values())

    @invariant()
    def an_event_has_one_outcome(self):
        """Processed, or still to come; never neither."""
        effects = self._effects()
        for offset in range(EVENTS):
            waits = offset >= self.committed
            assert bool(effects.get(offset)) or waits

    def teardown(self):
        """Left alone, it comes to its end: nothing lost, nothing twice."""
        self.crash()
        while self.committed < EVENTS:
            self.deliver(3)
            for offset in self.in_hand:
                self._handle(offset)
                self.offsets.finish("p", offset)
            self.in_hand = []
            self.commit()
        assert self._effects() == dict.fromkeys(range(EVENTS), 1)
        self.database.close()


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)


def test_the_property_test_would_catch_a_commit_past_a_gap():
    """Accounts that commit the highest finished offset lose what lies before it."""

    class Careless(Offsets):
        def finish(self, place, offset):
            super().finish(place, offset)
            self._due[place] = max(self._due.get(place, 0), offset + 1)

    with closing(sqlite3.connect(":memory:")):
        careless = Careless()
        careless.hand_out("p", [0, 1])
        careless.finish("p", 1)
        assert careless.due == {"p": 2}
        machine = Delivery()
        machine.offsets = careless
        machine.committed = careless.due["p"]
        try:
            machine.committed_never_passes_what_is_unfinished()
        except AssertionError:
            return
    raise AssertionError("a commit past record 0 was not noticed")
