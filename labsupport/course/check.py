"""`lab.check("02-1", answer)`: from an answer, whatever it is, to a verdict. Raises nothing but KeyboardInterrupt."""

import difflib
import inspect
from typing import Any

from labsupport.course import exercises, judging, separate_process
from labsupport.course.exercise import Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import in_words, shown
from labsupport.course.verdict import Outcome, Verdict
from labsupport.errors import LabError


def find(number: Any) -> Exercise:
    """The exercise with that id, such as "02-1". Raises LabError with similar ids if there is none."""
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


def check(number: Any, value: Any, lab: Lab) -> Verdict:
    """The verdict on `value` as the answer to exercise `number`, on the broker of `lab`."""
    try:
        exercise = find(number)
    except LabError as error:
        return Verdict(in_words(number)[:60], Outcome.ERROR, error.tried, seen=error.seen, look_at=error.next_step)
    if down := judging.lab_down(exercise, lab):
        return down
    if exercise.file:
        return separate_process.of_file(exercise, value, lab)
    if exercise.apart and callable(value) and not inspect.isclass(value):
        return separate_process.of_function(exercise, exercise.function, value, lab)
    return judging.judged(exercise, value, lab)
