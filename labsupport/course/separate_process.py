"""A verdict from a process of its own: for the learner's files, and for functions that can block a client's thread."""

import ast
import contextlib
import os
import threading
from pathlib import Path
from typing import Any

from labsupport.broker.cluster import Cluster
from labsupport.course import exercises, stall
from labsupport.course.exercise import Exercise
from labsupport.course.judging import OUTCOMES, judged, lab_busy, lab_down, not_attempted, readable, stays_here
from labsupport.course.lab import Lab
from labsupport.course.submission import Judged, Submission, shown
from labsupport.course.verdict import Outcome, Verdict
from labsupport.errors import LabError, UnpicklableError
from labsupport.experiments.breaking import forkserver
from labsupport.learner_file import load
from labsupport.settings import Settings


def of_file(exercise: Exercise, value: Any, lab: Lab) -> Verdict:
    """The verdict on a learner's file, from a Python process that knows nothing of the notebook."""
    path = Path(value) if isinstance(value, str | Path) else None
    if path is None or not path.is_file():
        return Verdict(
            exercise.id,
            Outcome.NOT_ATTEMPTED if value is ... else Outcome.TRY_AGAIN,
            f"The answer to this exercise is the path of a file, {exercise.file}.",
            given=shown(value),
            look_at=f'path = lab.file("{exercise.id}") makes it; then run lab.check("{exercise.id}", path)',
        )
    if not exercise.is_code:
        return judged(exercise, lambda: path.read_text(encoding="utf-8", errors="replace"), lab)
    if _is_stub(exercise, path):
        return not_attempted(exercise)
    return of_function(exercise, path.name, str(path.resolve()), lab)


def _is_stub(exercise: Exercise, path: Path) -> bool:
    """Whether the file still holds what it was made with; comments may have been added."""
    with contextlib.suppress(OSError, ValueError, SyntaxError, RecursionError):
        return ast.dump(ast.parse(path.read_text(encoding="utf-8"))) == ast.dump(ast.parse(exercise.stub))
    return False


def of_function(exercise: Exercise, name: str, value: Any, lab: Lab) -> Verdict:
    """The verdict from a process of its own; `name` is the answer's name in errors."""
    what = "file" if exercise.file else "function"
    # On a busy machine forty trials take half a minute, and may run twice. The answer's own clock stops code that never
    # ends.
    timeout = 2 * (exercise.seconds + 60)
    try:
        with stall.witness() as machine:
            ended = forkserver.shared().run(
                verdict_apart, exercise.id, value, lab.number, lab.arguments, timeout=timeout, name=name
            )
    except UnpicklableError as error:
        return stays_here(exercise, error)
    except LabError as error:
        if machine.makes_doubtful(True):
            return lab_down(exercise, lab) or lab_busy(exercise, machine, f"the process with your {what} ran")
        seen, look_at = f"{error.tried} {error.seen}"[-600:], error.next_step
        says = f"The {what} could not be judged to the end."
        return lab_down(exercise, lab) or Verdict(exercise.id, Outcome.ERROR, says, seen=seen, look_at=look_at)
    if isinstance(ended.returned, Verdict):
        return ended.returned
    return Verdict(
        exercise.id,
        Outcome.ERROR,
        f"The process with your {what} ended by itself, with exit code {ended.exit_code}.",
        printed=ended.printed[-600:].strip(),
        look_at="os._exit() or a signal ends the process at once: end the function with `return` or `raise`",
    )


def verdict_apart(number: str, value: Any, lesson: str, connection: dict[str, Any]) -> Verdict:
    """In the new process: judge a function from a notebook's cell, or the function in a file."""
    exercise, settings = exercises.by_id()[number], Settings.from_environment()
    with Lab(lesson, Cluster(**connection), settings) as lab:
        verdict = _verdict_of_file(exercise, Path(value), lab) if exercise.file else judged(exercise, value, lab)
    # The answer's threads may never end; this process only has to return the verdict.
    end = threading.Timer(1.0, os._exit, [0])
    end.daemon = True
    end.start()
    return verdict


def _verdict_of_file(exercise: Exercise, path: Path, lab: Lab) -> Verdict:
    """Load the file, and judge the function in it."""
    names: dict[str, Any] = {}
    reading = Submission(lambda: names.update(vars(load(path))), "reading()", seconds=3.0)
    try:
        reading(returns=type(None))
    except Judged as problem:
        fields = problem.fields | {"given": path.name, "printed": reading.printed.text.strip()}
        return Verdict(exercise.id, OUTCOMES[type(problem)], **readable(fields))
    if exercise.function not in names:
        says = f"{path.name} has no function {exercise.function}."
        look_at = "the exercise calls it by this name: is it misspelt, or is the file not saved?"
        return Verdict(exercise.id, Outcome.TRY_AGAIN, says, look_at=look_at)
    return judged(exercise, names[exercise.function], lab)
