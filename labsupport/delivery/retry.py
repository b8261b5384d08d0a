"""What to do after an attempt that failed: try again, give up, or wait for the end of an outage. Pure. Lesson 09.

Three kinds of error, and what each says about the event:

    transient   not its fault: the same event can be processed later. After the last retry the worker pauses and goes
                on trying; if the database is down, every event would fail, and a dead letter of each helps nobody.
                An outage that outlasts the policy's `outage` is reported, at each attempt, until somebody hears it.
    permanent   its fault: no attempt will end otherwise. A dead letter, at once.
    unknown     nobody can say. Some retries, then a dead letter, so that nothing stands still behind it.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from labsupport.delivery.outages import passes
from labsupport.errors import EventError, LabError, PermanentError, TransientError

TRANSIENT, PERMANENT, UNKNOWN = "transient", "permanent", "unknown"
RETRY, DEAD_LETTER, PAUSE, STOP = "retry", "dead letter", "pause", "stop"


def classify(error: BaseException) -> str:
    """Whether the error is transient, permanent or unknown; an unknown one with a cause is what its cause is.

    Transient is what `outages.passes` says of: a connection, a time-out, a full disk, a locked database, HTTP's 503. A
    missing file, an address that makes no sense or a 404 is not.
    """
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, PermanentError | EventError):
            return PERMANENT
        if isinstance(error, TransientError) or passes(error):
            return TRANSIENT
        error = error.__cause__ or error
    return UNKNOWN


@dataclass(frozen=True)
class Policy:
    """How patient to be. Raises LabError for what makes no sense.

    `attempts`: how often an event is tried at most, the first time included, before a dead letter is written or the
    worker pauses. `total`: the longest time (s) from the first failure to the last retry; whichever comes first.
    The wait before the second attempt is `first` (s), each further one twice as long, none longer than `most`. Chance
    takes away up to the part `jitter` (0 to 1) of each, so that many workers do not come back in the same moment; the
    same `seed` gives the same waits. `classify` says of an error which of the three kinds it is.

    `outage`: how long (s) a transient error may last, from the first failure on, before the worker reports it as
    overdue at each attempt. `then` says what it does besides: PAUSE and go on trying, write a DEAD_LETTER, or STOP
    with the error, the event uncommitted.
    """

    attempts: int = 5
    timeout: float = 60.0
    wait_initial: float = 0.5
    wait_max: float = 10.0
    wait_jitter: float = 0.5
    seed: int = 0
    classify: Callable[[BaseException], str] = field(default=classify, repr=False)
    outage: float = 600.0
    then: str = PAUSE

    def __post_init__(self) -> None:
        if not isinstance(self.attempts, int) or self.attempts < 1:
            raise LabError(f"attempts is {self.attempts!r}.", "the first time counts too", "give a whole number from 1")
        if not 0 < self.wait_initial <= self.wait_max < float("inf"):
            raise LabError(
                f"wait_initial is {self.wait_initial!r} s, and wait_max {self.wait_max!r} s.",
                "waits grow from the one to the other",
                "give 0 < wait_initial <= wait_max",
            )
        if not self.timeout >= 0:
            raise LabError(
                f"timeout is {self.timeout!r} s.", "it is the time for all retries together", "give 0 or more"
            )
        if not 0 <= self.wait_jitter <= 1:
            raise LabError(
                f"wait_jitter is {self.wait_jitter!r}.", "it is a part of the wait", "give a number from 0 to 1"
            )
        if not 0 < self.outage < float("inf"):
            raise LabError(
                f"outage is {self.outage!r} s.", "an outage has to be reported some time", "give a number above 0"
            )
        if self.then not in (PAUSE, DEAD_LETTER, STOP):
            raise LabError(f"then is {self.then!r}.", "", "give retry.PAUSE, retry.DEAD_LETTER or retry.STOP")

    def longest(self, attempt: int) -> float:
        """The wait (s) after this attempt, counted from 1, before chance takes its part."""
        return min(self.wait_max, self.wait_initial * 2.0 ** min(attempt - 1, 64))


@dataclass(frozen=True)
class Decision:
    """What to do with an event after an attempt that failed: `what` is RETRY, DEAD_LETTER, PAUSE or STOP.

    `seconds`: how long to wait before the next attempt; 0 if there is none. `kind`: of the error, as classified.
    `overdue`: how long (s) the event has failed, once that is longer than the policy's `outage`; else 0.
    """

    what: str
    seconds: float
    kind: str
    overdue: float = 0.0


def decide(
    attempt: int, waited: float, error: BaseException, policy: Policy | None = None, coordinates: str = ""
) -> Decision:
    """What to do after attempt number `attempt`, from 1, `waited` seconds after the event failed for the first time.

    `coordinates` (topic/partition/offset) give each event its own jitter. Raises LabError if the policy's `classify` says
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
    overdue = waited if kind == TRANSIENT and waited >= policy.outage else 0.0
    if overdue and policy.then != PAUSE:
        return Decision(policy.then, 0.0, kind, overdue)
    part = 1 - policy.wait_jitter * random.Random(f"{policy.seed}/{coordinates}/{attempt}").random()
    wait = policy.longest(attempt) * part
    if attempt < policy.attempts and waited + wait <= policy.timeout:
        return Decision(RETRY, wait, kind, overdue)
    if kind == TRANSIENT:
        return Decision(PAUSE, policy.wait_max * part, kind, overdue)
    return Decision(DEAD_LETTER, 0.0, kind)
