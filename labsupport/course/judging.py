"""The verdict on a learner's function, in this process: call the exercise's judge, and say how that ended."""

import contextlib
import decimal
import traceback
from typing import Any

from kafka.errors import KafkaError

from labsupport.broker.metadata import reach
from labsupport.course import stall
from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.lab import Lab
from labsupport.course.sandbox import NO_ALARM, has_alarm
from labsupport.course.stall import Busy, Machine
from labsupport.course.submission import STUB, Failed, Judged, NotAttempted, Submission, TryAgain
from labsupport.course.verdict import Outcome, Verdict
from labsupport.errors import LabError, UnpicklableError

OUTCOMES = {
    NotAttempted: Outcome.NOT_ATTEMPTED,
    TryAgain: Outcome.TRY_AGAIN,
    Failed: Outcome.ERROR,
    Busy: Outcome.LAB_BUSY,
}


def judged(exercise: Exercise, value: Any, lab: Lab) -> Verdict:
    """The verdict on the function `value`, in this process. Judges again if this machine may be to blame."""
    for _ in range(2):
        with stall.witness() as machine:
            verdict, timed, doing = _judged(exercise, value, lab)
        if not machine.makes_doubtful(timed):
            return verdict
    return lab_busy(exercise, machine, f"{doing}, twice", _in_short(verdict))


def _judged(exercise: Exercise, value: Any, lab: Lab) -> tuple[Verdict, bool | float, str]:
    """A verdict; whether it depends on time, as in Judged; and what was going on, as a clause."""
    answer, doing = Submission(value, exercise.call, exercise.seconds), f"{exercise.function} was judged"
    lab.made.clear()
    try:
        answer.require_function()
        with decimal.localcontext(decimal.Context()):
            said = exercise.judge(answer, lab)
            answer.require_no_memory()
    except Judged as judged:
        # The broker may have caused an error in the learner's code.
        if down := lab_down(exercise, lab):
            return down, False, doing
        fields = readable(judged.fields | {"printed": answer.printed.text.strip()})
        if exercise.file and isinstance(judged, NotAttempted):
            fields["says"] = not_attempted(exercise).says
        return Verdict(exercise.id, OUTCOMES[type(judged)], **fields), judged.timed, doing
    except UnpicklableError as error:
        return stays_here(exercise, error), False, doing
    except Exception as error:
        if down := lab_down(exercise, lab):
            return down, False, doing
        verdict = _unexpected(exercise, lab, error)
        return verdict, verdict.outcome is Outcome.LAB_DOWN, doing
    finally:
        with contextlib.suppress(Exception):  # the next lesson() deletes what is left
            lab.delete_topics(lab.topics(lab.namespace + CHECKED))
            lab.delete_groups(lab.groups(lab.namespace + CHECKED))
    return Verdict(exercise.id, Outcome.PASS, said if has_alarm() else f"{said} ({NO_ALARM})"), False, doing


def not_attempted(exercise: Exercise) -> Verdict:
    """The verdict on an exercise's stub."""
    what = "Write your code in" if exercise.is_code else "Fill in"
    says = f"{what} {exercise.file}, save it, then run this cell." if exercise.file else STUB
    return Verdict(exercise.id, Outcome.NOT_ATTEMPTED, says)


def stays_here(exercise: Exercise, error: UnpicklableError) -> Verdict:
    """The verdict on a function that cannot be taken into the other process where this check calls it."""
    says = f"{exercise.function} cannot be taken into another process, where this check calls it too."
    return Verdict(exercise.id, Outcome.ERROR, says, **readable({"seen": error.seen, "look_at": error.next_step}))


def _in_short(verdict: Verdict) -> str:
    """What the lab met on a busy machine; nothing that blames the answer."""
    return verdict.seen if verdict.outcome is Outcome.LAB_DOWN else ""


def lab_busy(exercise: Exercise, machine: Machine, doing: str, seen: str = "") -> Verdict:
    """The verdict that this machine is too busy to judge."""
    busy = Busy(while_=doing, seconds=machine.still, seen=seen)
    return Verdict(exercise.id, Outcome.LAB_BUSY, **busy.fields)


def readable(fields: dict[str, Any]) -> dict[str, Any]:
    """The texts with escapes for characters that no screen can show (half a surrogate pair)."""
    return {
        name: value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
        for name, value in fields.items()
    }


def lab_down(exercise: Exercise, lab: Lab) -> Verdict | None:
    """LAB DOWN if Kafka does not answer or this lesson is no longer open; otherwise None."""
    seen = _silence(lab)
    if not seen:
        return None
    look_at = "run the first code cell of this lesson again"
    look_at += ": it starts Kafka" if lab.embedded else f", when Kafka answers at {lab.bootstrap}"
    says = "Not your fault: Kafka does not answer the lab."
    return Verdict(exercise.id, Outcome.LAB_DOWN, says, seen=seen, look_at=look_at)


def _silence(lab: Lab) -> str:
    """Why Kafka does not answer this lesson; empty if it does."""
    if not lab.is_open:
        return "this lesson was closed in this kernel, by opening another one or by lab.close(), or opened elsewhere"
    try:
        reach(lab.connection)
    except LabError as error:
        return error.seen
    return ""


def _unexpected(exercise: Exercise, lab: Lab, error: Exception) -> Verdict:
    """The verdict on a check that raised: the topic is gone, Kafka was away, or the lab has a bug."""
    what = f"{type(error).__name__}: {error}"[:400]
    if not isinstance(error, KafkaError | LabError):
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Verdict(
            exercise.id,
            Outcome.ERROR,
            "Not your fault: the check itself failed, which is a bug of the lab.",
            seen=f"{what} ({last.name}, line {last.lineno})",
            look_at="run this cell again; if it fails again, please report it with these lines",
        )
    with contextlib.suppress(LabError):
        if lab.namespace + CHECKED in lab.made and lab.namespace + CHECKED not in lab.topics():
            return Verdict(
                exercise.id,
                Outcome.TRY_AGAIN,
                "The topic of the check is gone.",
                seen=f"{lab.namespace}{CHECKED} was deleted while your function ran",
                look_at="does your function delete topics, or open a lesson?",
            )
    says = "Not your fault: Kafka did not answer in time."
    return Verdict(exercise.id, Outcome.LAB_DOWN, says, seen=what, look_at="run this cell again")
