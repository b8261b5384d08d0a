"""What to do after an attempt that failed: try again, give up, or wait for the end of an outage. Pure. Lesson 09.

Three kinds of error, and what each says about the event:

    transient   not its fault: the same event can be processed later. After the last retry the worker pauses and goes
                on trying; if the database is down, every event would fail, and a dead letter of each helps nobody.
    permanent   its fault: no attempt will end otherwise. A dead letter, at once.
    unknown     nobody can say. Some retries, then a dead letter, so that nothing stands still behind it.
"""

import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from labsupport.base import LabError
from labsupport.events.event import EventError

TRANSIENT, PERMANENT, UNKNOWN = "transient", "permanent", "unknown"
RETRY, DEAD_LETTER, PAUSE = "retry", "dead letter", "pause"

# What SQLite says when the machine is to blame, and not the statement: busy, locked, out of memory, interrupted, a
# failing disk, a full disk, a file that cannot be opened.
MACHINE_TO_BLAME = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}


class TransientError(Exception):
    """For a handler to raise: not this event's fault; the same event can be processed later."""


class PermanentError(Exception):
    """For a handler to raise: this event can never be processed as it is."""


def classify(error: BaseException) -> str:
    """Whether the error is transient, permanent or unknown; an unknown one with a cause is what its cause is."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, PermanentError | EventError):
            return PERMANENT
        # The system calls that failed (OSError: network, disk) and what the Kafka client calls retriable.
        if isinstance(error, TransientError | OSError) or getattr(error, "retriable", False) is True:
            return TRANSIENT
        if isinstance(error, sqlite3.Error) and _primary(error) in MACHINE_TO_BLAME:
            return TRANSIENT
        error = error.__cause__ or error
    return UNKNOWN


def _primary(error: sqlite3.Error) -> int:
    """SQLite's code for the error, without the detail in the higher bits; -1 if it has none."""
    code = getattr(error, "sqlite_errorcode", -1)
    return code & 0xFF if code >= 0 else -1


@dataclass(frozen=True)
class Policy:
    """How patient to be. Raises LabError for what makes no sense.

    `attempts`: how often an event is tried at most, the first time included, before a dead letter is written or the
    worker pauses. `total`: the longest time (s) from the first failure to the last retry; whichever comes first.
    The wait before the second attempt is `first` (s), each further one twice as long, none longer than `most`. Chance
    takes away up to the part `jitter` (0 to 1) of each, so that many workers do not come back in the same moment; the
    same `seed` gives the same waits. `classify` says of an error which of the three kinds it is.
    """

    attempts: int = 5
    total: float = 60.0
    first: float = 0.5
    most: float = 10.0
    jitter: float = 0.5
    seed: int = 0
    classify: Callable[[BaseException], str] = field(default=classify, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.attempts, int) or self.attempts < 1:
            raise LabError(f"attempts is {self.attempts!r}.", "the first time counts too", "give a whole number from 1")
        if not 0 < self.first <= self.most < float("inf"):
            raise LabError(
                f"first is {self.first!r} s, and most {self.most!r} s.",
                "waits grow from the one to the other",
                "give 0 < first <= most",
            )
        if not self.total >= 0:
            raise LabError(f"total is {self.total!r} s.", "it is the time for all retries together", "give 0 or more")
        if not 0 <= self.jitter <= 1:
            raise LabError(f"jitter is {self.jitter!r}.", "it is a part of the wait", "give a number from 0 to 1")

    def longest(self, attempt: int) -> float:
        """The wait (s) after this attempt, counted from 1, before chance takes its part."""
        return min(self.most, self.first * 2.0 ** min(attempt - 1, 64))


@dataclass(frozen=True)
class Decision:
    """What to do with an event after an attempt that failed: `what` is RETRY, DEAD_LETTER or PAUSE.

    `seconds`: how long to wait before the next attempt; 0 for a dead letter. `kind`: of the error, as classified.
    """

    what: str
    seconds: float
    kind: str


def decide(
    attempt: int, waited: float, error: BaseException, policy: Policy | None = None, place: str = ""
) -> Decision:
    """What to do after attempt number `attempt`, from 1, `waited` seconds after the event failed for the first time.

    `place` is where the event lies; it gives each event other jitter. Raises LabError if the policy's `classify` says
    something that is none of the three kinds.
    """
    policy = policy or Policy()
    kind = policy.classify(error)
    if kind not in (TRANSIENT, PERMANENT, UNKNOWN):
        raise LabError(
            f"{type(error).__name__} was classified as {kind!r}.",
            "an error is transient, permanent or unknown",
            "mend the function that was given to the policy as classify",
        )
    if kind == PERMANENT:
        return Decision(DEAD_LETTER, 0.0, kind)
    part = 1 - policy.jitter * random.Random(f"{policy.seed}/{place}/{attempt}").random()
    wait = policy.longest(attempt) * part
    if attempt < policy.attempts and waited + wait <= policy.total:
        return Decision(RETRY, wait, kind)
    if kind == TRANSIENT:
        return Decision(PAUSE, policy.most * part, kind)
    return Decision(DEAD_LETTER, 0.0, kind)
