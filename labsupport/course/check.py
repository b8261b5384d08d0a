"""`lab.check("02-1", answer)`: from an answer, whatever it is, to a verdict. It never raises, except for Ctrl-C."""

import contextlib
import decimal
import difflib
import inspect
import os
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kafka.errors import KafkaError

from labsupport.broker.metadata import reach
from labsupport.course import exercises, stall
from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.sandbox import NO_ALARM, has_alarm
from labsupport.course.stall import Busy, Machine
from labsupport.course.submission import Failed, Judged, NotAttempted, Submission, TryAgain, in_words, shown
from labsupport.course.verdict import Outcome, Verdict
from labsupport.errors import LabError
from labsupport.experiments.breaking import python_process
from labsupport.learner_file import load
from labsupport.settings import Settings, parse_addresses

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

OUTCOMES = {
    NotAttempted: Outcome.NOT_ATTEMPTED,
    TryAgain: Outcome.TRY_AGAIN,
    Failed: Outcome.ERROR,
    Busy: Outcome.LAB_BUSY,
}


def find(number: Any) -> Exercise:
    """The exercise of that id, such as "02-1". Raises LabError, naming the near ones, if there is none."""
    known = exercises.by_id()
    if isinstance(number, str) and number in known:
        return known[number]
    near = difflib.get_close_matches(in_words(number), known, n=3, cutoff=0.5) or sorted(known)
    near.sort(key=lambda each: each.lstrip("0") != number)  # "2-1" is 02-1 before it is 12-1
    raise LabError(
        f"There is no exercise {shown(number, 60)}.",
        f"near: {', '.join(near)}",
        f'the id comes first, then your function: lab.check("{near[0]}", {known[near[0]].function})',
    )


def check(number: Any, value: Any, lab: "Lesson") -> Verdict:
    """Judge `value` as the answer to exercise `number`, on the broker of `lab`."""
    try:
        exercise = find(number)
    except LabError as error:
        return Verdict(in_words(number)[:60], Outcome.ERROR, error.tried, seen=error.seen, look_at=error.next_step)
    if down := _down(exercise, lab):
        return down
    if exercise.file:
        return _in_a_file(exercise, value, lab)
    if exercise.apart and callable(value) and not inspect.isclass(value):
        return _apart(exercise, exercise.function, value, lab)
    return judged(exercise, value, lab)


def judged(exercise: Exercise, value: Any, lab: "Lesson") -> Verdict:
    """The verdict on the function `value`, in this process; a second one if the first may be this machine's doing."""
    for _ in range(2):
        with stall.witness() as machine:
            verdict, timed, doing = _judged(exercise, value, lab)
        if not machine.makes_doubtful(timed):
            return verdict
    return _busy(exercise, machine, f"{doing}, twice", _in_short(verdict))


def _judged(exercise: Exercise, value: Any, lab: "Lesson") -> tuple[Verdict, bool | float, str]:
    """A verdict; whether it depends on time, as in Judged; and what took it."""
    answer, doing = Submission(value, exercise.call, exercise.seconds), f"{exercise.function} was judged"
    lab.made.clear()
    try:
        answer.require_function()
        with decimal.localcontext(decimal.Context()):
            said = exercise.judge(answer, lab)
            answer.require_no_memory()
    except Judged as judged:
        # What a learner's code raised may be the broker's doing.
        if down := _down(exercise, lab):
            return down, False, doing
        fields = _readable(judged.fields | {"printed": answer.printed.text.strip()})
        if exercise.file and isinstance(judged, NotAttempted):
            fields["says"] = f"Write your code in {exercise.file}, save it, then run this cell."
        return Verdict(exercise.id, OUTCOMES[type(judged)], **fields), judged.timed, doing
    except Exception as error:
        if down := _down(exercise, lab):
            return down, False, doing
        verdict = _unexpected(exercise, lab, error)
        return verdict, verdict.outcome is Outcome.LAB_DOWN, doing
    finally:
        with contextlib.suppress(Exception):  # what cannot be deleted now, the next lesson() deletes
            lab.delete_topics(lab.topics(lab.namespace + CHECKED))
            lab.delete_groups(lab.groups(lab.namespace + CHECKED))
    return Verdict(exercise.id, Outcome.PASS, said if has_alarm() else f"{said} ({NO_ALARM})"), False, doing


def _in_short(verdict: Verdict) -> str:
    """What was met while it was too busy; nothing that accuses the answer."""
    return verdict.seen if verdict.outcome is Outcome.LAB_DOWN else ""


def _busy(exercise: Exercise, machine: Machine, doing: str, seen: str = "") -> Verdict:
    """The verdict that there can be none now."""
    busy = Busy(while_=doing, seconds=machine.still, seen=seen)
    return Verdict(exercise.id, Outcome.LAB_BUSY, **busy.fields)


def _in_a_file(exercise: Exercise, value: Any, lab: "Lesson") -> Verdict:
    """The verdict on a file of the learner's: the same, in a Python process that knows nothing of the notebook."""
    path = Path(value) if isinstance(value, str | Path) else None
    if path is None or not path.is_file():
        return Verdict(
            exercise.id,
            Outcome.NOT_ATTEMPTED if value is ... else Outcome.TRY_AGAIN,
            f"The answer to this exercise is the path of a file, {exercise.file}.",
            given=shown(value),
            look_at=f'path = lab.file("{exercise.id}") makes it; then lab.check("{exercise.id}", path)',
        )
    return _apart(exercise, path.name, str(path.resolve()), lab)


def _apart(exercise: Exercise, name: str, value: Any, lab: "Lesson") -> Verdict:
    """The verdict from a process of its own; `name` is what errors call the answer."""
    what = "file" if exercise.file else "function"
    # On a busy machine forty trials take half a minute, and they may be played twice; what never ends is told by the
    # answer's own clock.
    timeout = 2 * (exercise.seconds + 60)
    try:
        with stall.witness() as machine:
            ended = python_process.run(verdict_apart, exercise.id, value, lab.number, timeout=timeout, name=name)
    except LabError as error:
        if machine.makes_doubtful(True):
            return _down(exercise, lab) or _busy(exercise, machine, f"the process with your {what} ran")
        seen, look_at = f"{error.tried} {error.seen}"[-600:], error.next_step
        says = f"The {what} was not judged to its end."
        return _down(exercise, lab) or Verdict(exercise.id, Outcome.ERROR, says, seen=seen, look_at=look_at)
    if isinstance(ended.returned, Verdict):
        return ended.returned
    return Verdict(
        exercise.id,
        Outcome.ERROR,
        f"The process with your {what} ended by itself, with exit code {ended.exit_code}.",
        printed=ended.printed[-600:].strip(),
        look_at="os._exit() or a signal ends a process at once: `return` or `raise` ends the function",
    )


def verdict_apart(number: str, value: Any, lesson: str) -> Verdict:
    """In the process of its own: judge a function that came from a notebook's cell, or the function in a file."""
    from labsupport.broker.cluster import connect
    from labsupport.course.session import Lesson

    exercise, settings = find(number), Settings.from_environment()
    with Lesson(lesson, connect(settings), settings) as lab:
        verdict = _verdict_of_file(exercise, Path(value), lab) if exercise.file else judged(exercise, value, lab)
    # The answer's threads may wait for ever; this process has nothing more to do than to hand over the verdict.
    end = threading.Timer(1.0, os._exit, [0])
    end.daemon = True
    end.start()
    return verdict


def _verdict_of_file(exercise: Exercise, path: Path, lab: "Lesson") -> Verdict:
    """Read the file, and judge the function in it."""
    names: dict[str, Any] = {}
    reading = Submission(lambda: names.update(vars(load(path))), "reading()", seconds=3.0)
    try:
        reading(returns=type(None))
    except Judged as problem:
        fields = problem.fields | {"given": path.name, "printed": reading.printed.text.strip()}
        return Verdict(exercise.id, OUTCOMES[type(problem)], **_readable(fields))
    if exercise.function not in names:
        says = f"{path.name} has no function {exercise.function}."
        look_at = "the exercise calls it by this name: is it misspelt, or was the file not saved?"
        return Verdict(exercise.id, Outcome.TRY_AGAIN, says, look_at=look_at)
    return judged(exercise, names[exercise.function], lab)


def _readable(fields: dict[str, str]) -> dict[str, str]:
    """The same texts, with escapes for what no screen can show (half a surrogate pair)."""
    return {name: text.encode(errors="backslashreplace").decode() for name, text in fields.items()}


def _down(exercise: Exercise, lab: "Lesson") -> Verdict | None:
    """The verdict if Kafka does not answer, or if this lesson is not open any more."""
    seen = _silence(lab)
    if not seen:
        return None
    look_at = "run the first code cell of this lesson again"
    look_at += ": it starts Kafka" if lab.embedded else f", when Kafka answers at {lab.bootstrap}"
    says = "Not your fault: Kafka does not answer the lab."
    return Verdict(exercise.id, Outcome.LAB_DOWN, says, seen=seen, look_at=look_at)


def _silence(lab: "Lesson") -> str:
    """Why Kafka does not answer this lesson; empty if it does."""
    if not lab.is_open:
        return "this lesson was closed in this kernel, by opening another one or by lab.close(), or opened elsewhere"
    try:
        reach(parse_addresses(lab.bootstrap))
    except LabError as error:
        return error.seen
    return ""


def _unexpected(exercise: Exercise, lab: "Lesson", error: Exception) -> Verdict:
    """The check could not come to its end, though Kafka answers: the topic is gone, Kafka was away, or our mistake."""
    what = f"{type(error).__name__}: {error}"[:400]
    if not isinstance(error, KafkaError | LabError):
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Verdict(
            exercise.id,
            Outcome.ERROR,
            "The check itself failed, which is a mistake of the lab's and not of yours.",
            seen=f"{what} ({last.name}, line {last.lineno})",
            look_at="run this cell again; if it stays, please report it with these lines",
        )
    with contextlib.suppress(LabError):
        if lab.namespace + CHECKED in lab.made and lab.namespace + CHECKED not in lab.topics():
            return Verdict(
                exercise.id,
                Outcome.TRY_AGAIN,
                "The topic that the check works on is gone.",
                seen=f"something deleted {lab.namespace}{CHECKED} while your function ran",
                look_at="does your function delete topics, or open a lesson?",
            )
    says = "Not your fault: Kafka did not answer in time."
    return Verdict(exercise.id, Outcome.LAB_DOWN, says, seen=what, look_at="run this cell again")
