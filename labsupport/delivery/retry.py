"""Decides what to do after a failed attempt: retry, dead letter, or wait for the end of an outage. Pure. Lesson 09.

There are three kinds of error:

    transient   The event is not at fault and can be processed later. After the last retry the worker pauses and keeps
                trying: if the database is down, every event would fail, and dead letters would help nobody. Beyond the
                policy's `outage`, each attempt reports the event as overdue.
    permanent   The event is at fault, and every attempt will fail. It becomes a dead letter at once.
    unknown     Either is possible. It becomes a dead letter after some retries, so that its partition does not stand
                still.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from labsupport.delivery.transient_errors import passes
from labsupport.errors import EventError, LabError, PermanentError, TransientError

TRANSIENT, PERMANENT, UNKNOWN = "transient", "permanent", "unknown"
RETRY, DEAD_LETTER, PAUSE, STOP = "retry", "dead letter", "pause", "stop"


def classify(error: BaseException) -> str:
    """Whether the error is transient, permanent or unknown. An unknown error with a cause takes its cause's kind.

    `transient_errors.passes` says which errors are transient: failed connections, timeouts, full disks, locked
    databases, HTTP 503, but not missing files, malformed addresses or HTTP 404.
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
    """How patient to be. Raises LabError for values that make no sense.

    `attempts` is the largest number of attempts, the first included, and `timeout` the longest time (s) from the first
    failure to the last retry; whichever is reached first. The wait before the second attempt is `wait_initial` (s); it
    doubles each time, up to `wait_max`. Each wait is multiplied by a random factor between 1 − `wait_jitter` and 1, so
    that many workers do not retry at the same moment; the same `seed` gives the same waits. `classify` returns an
    error's kind.

    `outage`: how long (s) a transient error may last, from the first failure, before each attempt is reported as
    overdue. `then` is what the worker does from then on: PAUSE and keep trying, write a DEAD_LETTER, or STOP with the
    error and leave the event uncommitted.
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
        """The wait (s) after this attempt, counted from 1, before the jitter."""
        return min(self.wait_max, self.wait_initial * 2.0 ** min(attempt - 1, 64))


@dataclass(frozen=True)
class Decision:
    """What to do with an event after a failed attempt: `what` is RETRY, DEAD_LETTER, PAUSE or STOP.

    `seconds` is the wait before the next attempt, 0 if there is none. `kind` is the error's. `overdue` is how long (s)
    the event has failed if that exceeds the policy's `outage`, else 0.
    """

    what: str
    seconds: float
    kind: str
    overdue: float = 0.0


def decide(
    attempt: int, waited: float, error: BaseException, policy: Policy | None = None, coordinates: str = ""
) -> Decision:
    """Decide after attempt number `attempt` (from 1), `waited` seconds after the event first failed.

    `coordinates` (topic/partition/offset) give each event its own jitter. Raises LabError if the policy's `classify`
    returns anything but the three kinds.
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
