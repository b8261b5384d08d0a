"""09-1: the decision is right for every attempt, waiting time and kind of error."""

import sqlite3
from contextlib import closing
from typing import Any

from kafka.errors import KafkaTimeoutError

from labsupport.course.exercise import Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.delivery import retry
from labsupport.errors import EventError

ATTEMPTS, FIRST, MOST, TOTAL = 5, 0.5, 3.0, 8.0

WORDS = "a number of seconds, 'dead letter' or 'pause'"

DUE = (
    0.0,
    0.25,
    0.5,
    1.5,
    3.5,
    4.0,
    5.0,
    5.25,
    6.0,
    6.25,
    7.0,
    7.25,
    7.5,
    7.75,
    8.0,
    20.0,
)  # s since the first failure


def _decide(answer: Submission, _: Lab) -> str:
    """Every attempt and waiting time, early ones first, with errors of each kind."""
    tried = 0
    errors = [(error, retry.classify(error)) for error in _errors()]
    for attempt in range(1, ATTEMPTS + 3):
        for waited in DUE:
            for error, kind in errors:
                _require_decision(answer, attempt, waited, error, kind)
                tried += 1
    return f"Right for {tried} failures: errors of each kind, from the first to the seventh attempt, from 0 s to 20 s."


def _errors() -> list[Exception]:
    """Errors of each kind: from handlers, the operating system and a database, and one with a cause."""
    caused = RuntimeError("could not book it")
    caused.__cause__ = TimeoutError("no answer")
    return [
        retry.TransientError("busy"),
        KeyError("amount"),
        EventError("not JSON"),
        retry.PermanentError("there is no such auction"),
        ConnectionRefusedError("nobody listens"),
        _locked(),
        sqlite3.IntegrityError("UNIQUE constraint failed: effects.event_id"),
        KafkaTimeoutError("the broker does not answer"),
        ValueError("amount is negative"),
        ZeroDivisionError("division by zero"),
        caused,
    ]


def _locked() -> Exception:
    """The error that SQLite raises while another connection writes."""
    with closing(sqlite3.connect("file:locked?mode=memory&cache=shared", uri=True)) as other:
        other.execute("CREATE TABLE t (a)")
        other.execute("BEGIN EXCLUSIVE")
        with closing(sqlite3.connect("file:locked?mode=memory&cache=shared", uri=True, timeout=0)) as database:
            try:
                database.execute("INSERT INTO t VALUES (1)")
            except sqlite3.OperationalError as error:
                return error.with_traceback(None)
    raise AssertionError("the database was not locked")


def _require_decision(answer: Submission, attempt: int, waited: float, error: Exception, kind: str) -> None:
    wait = min(MOST, FIRST * 2 ** (attempt - 1))
    left = attempt < ATTEMPTS and waited + wait <= TOTAL
    right: float | str = (
        wait if left and kind != retry.PERMANENT else "pause" if kind == retry.TRANSIENT else "dead letter"
    )
    came_back = answer(attempt, waited, error, returns=(float, str), asks=WORDS)
    if came_back == right:
        return
    rule, look_at = _why(attempt, waited, kind, right, came_back)
    raise TryAgain(
        says=f"The right answer here is {f'a wait of {right:g} s' if isinstance(right, float) else repr(right)}.",
        given=f"{answer.called(attempt, waited, error)}; classify says {kind}",
        came_back=shown(came_back),
        rule=rule,
        look_at=look_at,
    )


def _why(attempt: int, waited: float, kind: str, right: float | str, came_back: Any) -> tuple[str, str]:
    """The rule that is broken, and what to look at."""
    if isinstance(right, float) and isinstance(came_back, str):
        if came_back not in ("pause", "dead letter"):
            return f"the answer is {WORDS}", "is the word misspelt?"
        if attempt == 1 and waited == 0:
            return (
                f"this was the first attempt, and an error of kind {kind} deserves another",
                "what does classify return?",
            )
        late = f"the next attempt would begin {waited + right:g} s after the first failure"
        return (
            f"an attempt is left: this was number {attempt} of {ATTEMPTS}, and {late}",
            "only later than that is too late" if waited + right == TOTAL else "do you count from 0 or from 1?",
        )
    if isinstance(right, float):
        return (
            f"after attempt 1 the wait is {FIRST:g} s; it doubles each time, and is never longer than {MOST:g} s",
            "what is the wait after attempt 1, after attempt 2, and after attempt 4?",
        )
    if not isinstance(came_back, str):
        if kind == retry.PERMANENT:
            return "no retry will end differently, and later records would wait in vain", "call classify first"
        if attempt >= ATTEMPTS:
            return f"this was attempt {attempt}, and there are {ATTEMPTS} at most", "the first attempt counts, too"
        wait = min(MOST, FIRST * 2 ** (attempt - 1))
        if came_back < wait:
            return (
                f"after attempt {attempt} the wait is {wait:g} s, which would end later than {TOTAL:g} s after "
                f"the first failure",
                "do not cut a wait short: either it fits, or no attempt is left",
            )
        return (
            f"the next attempt would begin later than {TOTAL:g} s after the first failure",
            "it begins after the wait, not now",
        )
    if came_back not in ("pause", "dead letter"):
        return f"the answer is {WORDS}", "is the word misspelt?"
    if kind == retry.TRANSIENT:
        return (
            "a transient error is not this event's fault: the next event would fail, too",
            "a dead letter for each event helps nobody",
        )
    return (
        f"an error of kind {kind} may be this event's fault: a pause would last until somebody fixes the cause",
        "the last rule",
    )


EXERCISE = Exercise(
    id="09-1",
    title="What now?",
    difficulty="medium",
    minutes=7,
    call="decide(attempt, waited, error)",
    hints=(
        "For which errors does the clock not matter? And when would the next attempt begin: now, or after the wait?",
        "The wait after attempt n is 0.5 · 2 ** (n - 1), at most 3. An attempt is left if `attempt < 5` and "
        "`waited` plus the wait is at most 8.",
        '`kind = retry.classify(error)`. Handle "permanent" first; then return the wait if an attempt is left, and '
        "otherwise one of the two words.",
    ),
    explanation="Retries have two limits, and the one that is reached first ends them; the coming wait counts. "
    "What happens then depends on whose fault the error may be. The lab's own `retry.decide` adds jitter to the waits.",
    judge=_decide,
)
