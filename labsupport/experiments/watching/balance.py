"""The balance sheet: what became of each event, read from the broker and the database, never from the code under test.

    produced = processed + dead-lettered + waiting + unknown + lost, and how many of the processed were processed twice

It counts events (by id, or by topic-partition-offset if there is none), for one group, each by its latest outcome.
Records of aborted and open transactions are no events (read_committed); the sheet says how many it left out. What waits
behind an open transaction counts as waiting. Lesson 07 draws one up by hand.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.broker.cluster import Cluster
from labsupport.console import counted
from labsupport.delivery import orders
from labsupport.delivery.dead_letter import for_others, original, unwrap
from labsupport.delivery.reading import id_of
from labsupport.errors import NotADeadLetterError
from labsupport.experiments.watching import log
from labsupport.shop import story
from labsupport.shop.event import Event
from labsupport.transactions import ABORTED, OPEN, READ_COMMITTED

if TYPE_CHECKING:
    import pandas

OUTCOMES = ("processed", "dead-lettered", "waiting", "unknown", "lost")


@dataclass(frozen=True)
class Entry:
    """One event. `outcome` is one of OUTCOMES; `effects` is the number of its effects in the database."""

    event_id: str
    key: str
    outcome: str
    effects: int = 0


@dataclass(frozen=True)
class Sheet:
    """What became of a topic's events for one group. `orphans` are the ids of effects without an event in the topic.

    `left_out`: the number of records whose transaction was aborted, or is open, by that word; they are no events.
    """

    entries: tuple[Entry, ...]
    orphans: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    isolation: str = READ_COMMITTED

    def count(self, outcome: str) -> int:
        """The number of events with that outcome; `produced` counts all, `twice` those with more than one effect."""
        return _count(self.entries, outcome)

    def ids(self, outcome: str) -> tuple[str, ...]:
        """The ids of the events that `count` counts, in log order."""
        return tuple(entry.event_id for entry in self.entries if _is(entry, outcome))

    @property
    def table(self) -> "pandas.DataFrame":
        """Numbers of events: a row for each key and one for all; columns: produced, the outcomes, twice."""
        import pandas  # imported here, because it is slower to import than the rest of a lesson

        columns = ["produced", *OUTCOMES, "twice"]
        keys = sorted({entry.key for entry in self.entries})
        rows = [[entry for entry in self.entries if entry.key == key] for key in keys]
        counted = [[_count(entries, column) for column in columns] for entries in [*rows, self.entries]]
        return pandas.DataFrame(counted, [*keys, "all"], columns).rename_axis("key")

    def __str__(self) -> str:
        parts = " + ".join(f"{self.count(outcome)} {outcome}" for outcome in OUTCOMES)
        orphans = f"; {len(self.orphans)} effects belong to no event" if self.orphans else ""
        left_out = "".join(
            f"; {counted(count, 'record')} of {outcome} transactions left out ({self.isolation})"
            for outcome, count in self.left_out.items()
            if count
        )
        return f"{self.count('produced')} produced = {parts}; {self.count('twice')} processed twice{orphans}{left_out}."

    __repr__ = __str__


def side_by_side(sheets: Mapping[str, Sheet], *outcomes: str) -> "pandas.DataFrame":
    """Compare sheets: a row for each, by its name; columns: the numbers of events with these outcomes."""
    import pandas

    counted = [[sheet.count(outcome) for outcome in outcomes] for sheet in sheets.values()]
    return pandas.DataFrame(counted, list(sheets), list(outcomes))


def _is(entry: Entry, outcome: str) -> bool:
    return outcome == "produced" or entry.outcome == outcome or (outcome == "twice" and entry.effects > 1)


def _count(entries: Iterable[Entry], outcome: str) -> int:
    return sum(_is(entry, outcome) for entry in entries)


def compute(
    records: Sequence[ConsumerRecord],
    committed: Mapping[int, int],
    effects: Mapping[str, int],
    *,
    dead: Collection[str] = (),
    unknown: Iterable[str] = (),
    left_out: Mapping[str, int] | None = None,
) -> Sheet:
    """Compute the sheet; pure. `records`: all of the topic that count. `committed`: offsets by partition.

    `effects`: the number of effects by event id. `dead`: ids of dead-lettered events. `unknown`: ids of events whose
    send was never acknowledged; those found in the topic count like the others. `left_out`: as in `Sheet`.
    """
    ahead: dict[str, bool] = {}  # by id: whether the group will still read the event
    keys: dict[str, str] = {}
    for record in records:
        event_id = id_of(record)
        keys.setdefault(event_id, log.text(record.key))
        ahead[event_id] = ahead.get(event_id, False) or record.offset >= committed.get(record.partition, 0)
    entries = [Entry(each, keys[each], _outcome(each, ahead, effects, dead), effects.get(each, 0)) for each in keys]
    for event_id in dict.fromkeys(unknown):
        if event_id not in keys:
            outcome = "unknown" if event_id not in effects else "processed"
            entries.append(Entry(event_id, "–", outcome, effects.get(event_id, 0)))
    known = {entry.event_id for entry in entries}
    return Sheet(tuple(entries), tuple(each for each in effects if each not in known), left_out or {})


def _outcome(
    event_id: str,
    ahead: Mapping[str, bool],
    effects: Mapping[str, int],
    dead: Collection[str],
) -> str:
    if effects.get(event_id):
        return "processed"  # even if it has a dead letter: it was redriven
    if ahead[event_id]:
        return "waiting"  # also a dead letter that was redriven
    return "dead-lettered" if event_id in dead else "lost"


def of_requests(events: Iterable[Event], database: Path | str) -> Sheet:
    """The sheet of a service that is asked over HTTP: an event without an effect is lost, because nothing waits.

    Raises LabError if the database does not exist.
    """
    effects, asked = orders.effects(database), tuple(events)
    kinds = [(event, effects.get(event.event_id, 0)) for event in asked]
    entries = [
        Entry(event.event_id, story.key_of(event).decode(), "processed" if count else "lost", count)
        for event, count in kinds
    ]
    known = {event.event_id for event in asked}
    return Sheet(tuple(entries), tuple(each for each in effects if each not in known))


def read(
    kafka: Cluster,
    topic: str,
    group: str,
    database: Path | str,
    *,
    dead_letters: str = "",
    unknown: Iterable[str] = (),
) -> Sheet:
    """The sheet of `group` as the broker and the database (a file with a table `effects`) are now.

    `dead_letters` is the dead letter topic; only this group's dead letters count. Records redriven for another group do
    not count. `unknown` are the ids of events whose send was never acknowledged. Raises LabError if a topic or the
    database does not exist.
    """
    held = log.read(kafka, topic, group)
    records = [record for record in held.valid if not for_others(record, group)]
    dead = {id_of(each) for each in _dead(log.read(kafka, dead_letters).valid if dead_letters else (), group)}
    left_out = {outcome: held.number(outcome) for outcome in (ABORTED, OPEN)}
    return compute(records, held.committed, orders.effects(database), dead=dead, unknown=unknown, left_out=left_out)


def _dead(records: Iterable[ConsumerRecord], group: str) -> Iterator[ConsumerRecord]:
    """The original records of this group's dead letters."""
    for record in records:
        with contextlib.suppress(NotADeadLetterError):
            if unwrap(record).group == group:
                yield original(record)
