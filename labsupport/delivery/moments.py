"""What can happen while records are consumed: the kinds of moments, and the moments themselves.

The worker reports each step to its hooks as a `Moment`; experiments add what they do to processes, and code that is
tried adds points and statements of its own. Plots, histories and traces choose from them by the sets below.
"""

import difflib
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.delivery.reading import id_of
from labsupport.errors import LabError


class Kind(StrEnum):
    """What happened. A name that is not listed here raises LabError."""

    # to a record, in the worker
    HANDLING = "handling"
    HANDLED = "handled"
    FAILED = "failed"
    RETRYING = "retrying"
    PAUSED = "paused"
    OVERDUE = "overdue"
    DEAD_LETTERED = "dead-lettered"
    SKIPPED = "skipped"
    # to a commit
    COMMITTING = "committing"
    COMMITTED = "committed"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    # to a member's partitions
    ASSIGNED = "assigned"
    REVOKED = "revoked"
    LOST = "lost"
    # to a member's process
    STARTED = "started"
    ASKED_TO_STOP = "asked to stop"
    LEFT = "left"
    KILLED = "killed"
    CRASHED = "crashed"
    FROZEN = "frozen"
    WOKEN = "woken"
    SLOWED = "slowed"
    THROWN_OUT = "thrown out"
    FAILED_ON_PURPOSE = "failed on purpose"
    # to a record, in its topic
    SENT = "sent"
    REDRIVEN = "redriven"
    # in code that is tried: see `Moment.name`
    POINT = "point"
    STATEMENT = "statement"
    WRITING = "writing"
    SECOND_WRITE = "second write"

    @classmethod
    def _missing_(cls, value: object) -> None:
        close = difflib.get_close_matches(str(value), list(cls), n=1)
        raise LabError(
            f"There is no kind of moment {value!r}.",
            f"the kinds are {', '.join(cls)}",
            f"did you mean {str(close[0])!r}?" if close else "use one of these",
        )


# A record after one of these may be committed.
RECORD_DONE = frozenset({Kind.HANDLED, Kind.DEAD_LETTERED, Kind.SKIPPED})
ATTEMPTS = frozenset({Kind.HANDLED, Kind.FAILED})
TROUBLE = frozenset({Kind.FAILED, Kind.PAUSED, Kind.OVERDUE, Kind.DEAD_LETTERED})
COMMITS = frozenset({Kind.COMMITTING, Kind.COMMITTED, Kind.REFUSED, Kind.UNANSWERED})
ASSIGNMENTS = frozenset({Kind.ASSIGNED, Kind.REVOKED, Kind.LOST})
# A member after one of these does not own its partitions any more.
OWNERSHIP_ENDS = frozenset({Kind.REVOKED, Kind.LOST, Kind.LEFT, Kind.KILLED})
DONE_TO_MEMBERS = frozenset({Kind.ASKED_TO_STOP, Kind.KILLED, Kind.FROZEN, Kind.WOKEN, Kind.SLOWED})
# These belong to the story of every event, because they change what all of a process's records go through.
DONE_TO_PROCESSES = frozenset({Kind.CRASHED, Kind.FROZEN, Kind.WOKEN, Kind.THROWN_OUT})
ARRIVALS = frozenset({Kind.SENT, Kind.REDRIVEN})
# The space-time diagram has no mark for these; for `handled` only if no statements are drawn.
UNMARKED = frozenset(
    {Kind.ASSIGNED, Kind.REVOKED, Kind.COMMITTING, Kind.WRITING, Kind.SECOND_WRITE, Kind.HANDLED, Kind.SLOWED}
)
# The crash search leaves these out: another moment stands for the same point, or a crash there differs in nothing.
NO_CRASH_POINTS = ASSIGNMENTS | {Kind.WRITING, Kind.SECOND_WRITE}


@dataclass(frozen=True)
class Moment:
    """Something that happened in a consumer, or to it.

    `time`: seconds of the monotonic clock, which all processes of a machine share. `client_id`: the consumer's.
    `partitions`: those it is about. `offset`: the record's; of a commit of one partition, the committed offset. `key`
    and `event_id`: the record's, as text. `generation`: the group's, which counts its rebalances; only of assigned.
    `seconds`: how long the partition waits for its next attempt (retrying, paused), or how long the record has failed
    (overdue). `error`: the error's class (failed, overdue, dead-lettered, a statement that failed). `name`: of a point
    that code names, or the words of an SQL statement. `timestamp`: the record's, in milliseconds since 1970.
    """

    kind: Kind
    time: float
    client_id: str
    partitions: tuple[TopicPartition, ...] = ()
    offset: int | None = None
    key: str = ""
    event_id: str = ""
    generation: int | None = None
    seconds: float | None = None
    error: str = ""
    name: str = ""
    timestamp: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", Kind(self.kind))

    @property
    def coordinates(self) -> tuple[int, int | None]:
        """Of a record's moment: its partition's number and its offset."""
        return self.partitions[0].partition, self.offset

    @property
    def point(self) -> str:
        """What a fault calls this moment: the name of a point or a statement, otherwise the kind."""
        return self.name or self.kind.value

    @classmethod
    def of(cls, kind: str, client_id: str, record: ConsumerRecord, **more: Any) -> "Moment":
        """A moment of this record, now."""
        partition = TopicPartition(record.topic, record.partition)
        key = "" if record.key is None else record.key.decode(errors="backslashreplace")
        more = {"timestamp": record.timestamp} | more
        return cls(Kind(kind), time.monotonic(), client_id, (partition,), record.offset, key, id_of(record), **more)
