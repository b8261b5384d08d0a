"""Consume, transform, produce, killed once: what each choice of a transactional id gives, on the real broker."""

import pytest

from labsupport import lesson, publish, story
from labsupport.experiments.breaking import transform
from labsupport.experiments.breaking.transform import (
    COMMITTED,
    OFFSETS_SENT,
    SENT,
    apart,
    output_alone,
    together,
    twice,
)
from labsupport.experiments.watching import log

SAME, OTHER, NONE = ("97-copier", "97-copier"), ("97-copier-1", "97-copier-2"), (None, None)


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("97")


# Orders that a committed reader gets; of them more than once; in the log more than once; rows more than once.
@pytest.mark.parametrize(
    ("ids", "kill_at", "expected"),
    [
        (NONE, SENT, (12, 4, 4, 4)),
        (NONE, COMMITTED, (12, 0, 0, 0)),
        (SAME, SENT, (12, 0, 4, 4)),
        (SAME, OFFSETS_SENT, (12, 0, 4, 4)),
        (SAME, COMMITTED, (12, 0, 0, 0)),
        (OTHER, SENT, (4, 0, 4, 4)),  # what the second start writes waits behind the open transaction
    ],
)
def test_a_transaction_makes_output_and_offsets_one_step(lab, ids, kill_at, expected):
    """And never the database: its rows are doubled wherever records come again."""
    found = played(lab, ids, kill_at)
    assert counted(found) == expected
    assert not found.stuck
    if ids == OTHER:
        assert log.read(lab, "97-copies").number("aborted") == 4  # it was ended when all was counted


def test_another_id_after_the_offsets_were_sent_gets_nothing(lab):
    """The first one's offsets are pending, so nobody knows where the group continues."""
    found = played(lab, OTHER, OFFSETS_SENT)
    assert (found.stuck, counted(found)) == (True, (4, 0, 0, 0))


@pytest.mark.parametrize(
    ("ids", "step", "inbox", "expected"),
    [
        (SAME, output_alone, False, (12, 4, 4, 4)),
        (SAME, output_alone, True, (12, 4, 4, 0)),
        (SAME, together, True, (12, 0, 4, 0)),
        (NONE, apart, True, (12, 4, 4, 0)),
    ],
)
def test_what_is_not_in_the_transaction_needs_a_memory_of_its_own(lab, ids, step, inbox, expected):
    """Offsets that are committed apart; rows in a database."""
    assert counted(played(lab, ids, SENT, step, inbox)) == expected


def counted(found):
    """As the tests above name it."""
    return len(found.committed), *map(twice, (found.committed, found.uncommitted, found.rows))


def played(lab, ids, kill_at, step=None, inbox=False):
    """Twelve orders, in batches of four, and a death in the second batch."""
    lab.clear()
    source, target = lab.topic("source"), lab.topic("copies")
    publish.publish(lab.producer(name="shop"), source, story.events(12, seed=2))
    lab.close_client("shop")
    where = (source, target, lab.group("copier"), lab.database("copies"))
    return transform.run(lab, *where, ids, step or (together if all(ids) else apart), inbox=inbox, kill_at=kill_at)
