"""Judges every stub, other right answer and known wrong answer on a real broker.

The lessons themselves judge the reference answers (test_notebooks).
"""

import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from labsupport import lesson
from labsupport.course import exercises, judging
from labsupport.course.exercise import Exercise
from labsupport.course.verdict import Outcome
from labsupport.learner_file import load

ALL = list(exercises.by_id().values())
each = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
CODE = [each for each in ALL if each.is_code]
STYLES = [(exercise, code) for exercise in ALL for code in exercise.other_styles]
WRONG = [(exercise, wrong) for exercise in ALL for wrong in exercise.wrong]
WRONG_FILES = [path for exercise in ALL for path in sorted((exercise.folder / "wrong").glob("*.*"))]


# Exercises that search for crashes, and the number of events that other styles than the reference are tried with.
CRASHED = {"07-1": 2, "08-2": 1}


@pytest.fixture(scope="module")
def opened(own_home):
    """A lesson that has no notebook."""
    return lesson("98")


def answer(exercise: Exercise, code: str):
    """What the learner hands to `check`: the function that `code` defines in a cell, or the file with that code."""
    return exercise.written(code, Path(os.environ["LAB_HOME"]))


def judged(lab, exercise: Exercise, handed_in):
    """The verdict on it; asks again after LAB BUSY."""
    return until_judged(lambda: lab.check(exercise.id, handed_in))


def until_judged(check):
    """The first verdict that is not LAB BUSY."""
    for _ in range(5):
        verdict = check()
        if verdict.outcome is not Outcome.LAB_BUSY:
            return verdict
    pytest.skip(f"this machine is too busy to judge: {verdict.says}")


def test_every_folder_is_an_exercise():
    """A folder that `by_id` does not find would never be judged."""
    folders = {path.parent.name for path in Path(exercises.__file__).parent.glob("*/stub.*")}
    assert folders == set(exercises.by_id())
    assert folders


@each
def test_an_exercise_is_complete(exercise):
    """Two or three hints, the first a question; two known wrong answers and another style; an explanation."""
    assert exercise.folder.name == exercise.id
    needed = {f"stub{exercise.suffix}", f"reference{exercise.suffix}", "judge.py"}
    assert needed <= {path.name for path in exercise.folder.iterdir()}
    assert len(exercise.hints) in (2, 3)
    assert "?" in exercise.hints[0]
    assert len(exercise.wrong) >= 2
    assert len({wrong.misconception for wrong in exercise.wrong}) == len(exercise.wrong)
    assert exercise.other_styles
    assert len(exercise.explanation.split()) >= 10
    assert exercise.difficulty in ("easy", "medium", "hard")
    assert not exercise.is_code or exercise.stub.endswith("return ...")
    assert not exercise.is_code or f"def {exercise.call}:" in exercise.stub


@pytest.mark.parametrize("path", WRONG_FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_wrong_answer_begins_with_its_misconception(path):
    """`# misconception -> phrase`, with both; the file's name is the misconception's beginning."""
    first, _, code = path.read_text(encoding="utf-8").partition("\n")
    form = re.fullmatch(r"(?:# |<!-- )(?P<misconception>\S.*\S) -> (?P<phrase>\S.*?)(?: -->)?", first)
    assert form, first
    assert re.sub(r"\W+", "_", form["misconception"].lower()).startswith(path.stem)
    assert code.strip()


@each
def test_the_stub_is_not_attempted(exercise, opened):
    """The committed notebook is unsolved."""
    assert opened.check(exercise.id, answer(exercise, exercise.stub)).outcome is Outcome.NOT_ATTEMPTED


@pytest.mark.parametrize(("exercise", "code"), STYLES, ids=[f"{e.id}-{n}" for n, (e, _) in enumerate(STYLES)])
def test_a_right_answer_in_another_style_passes(exercise, code, opened):
    """Properties are judged, not the text of the code; and what an earlier check left does not matter."""
    verdict = judged_on_few_events(opened, exercise, answer(exercise, code))
    assert verdict.passed, verdict


def judged_on_few_events(lab, exercise: Exercise, handed_in):
    """The verdict on it; where crashes are searched for, on fewer events.

    The reference answer, in its lesson, has them all, and a soak every style.
    """
    if exercise.id not in CRASHED:
        return judged(lab, exercise, handed_in)
    smaller = replace(exercise, judge=partial(exercise.judge, events=CRASHED[exercise.id]))
    function = vars(load(handed_in))[exercise.function] if exercise.file else handed_in
    return until_judged(lambda: judging.judged(smaller, function, lab))


@pytest.mark.parametrize(("exercise", "wrong"), WRONG, ids=[f"{e.id}: {w.misconception}" for e, w in WRONG])
def test_a_known_wrong_answer_gets_its_feedback(exercise, wrong, opened):
    """TRY AGAIN or ERROR, with the phrase that names the misconception and one thing to look at."""
    verdict = judged(opened, exercise, answer(exercise, wrong.code))
    assert verdict.outcome in (Outcome.TRY_AGAIN, Outcome.ERROR)
    assert wrong.phrase in repr(verdict)
    assert verdict.look_at or verdict.outcome is Outcome.ERROR
    assert "bug of the lab" not in repr(verdict)


# Wrong in ways that no misconception needs: each takes the reference answer, and does something around it.
ONCE = """

_right, _first = {function}, []


def {call}:
    if not _first:
        _first.append(_right({arguments}))
    return _first[0]"""
CHANGES = """

_right = {function}


def {call}:
    result = _right({arguments})
    for each in ({arguments},):
        if isinstance(each, (list, dict, set)):
            each.clear()
    return result"""
SWALLOWS = """

_right = {function}


def {call}:
    try:
        return _right({arguments})
    except Exception:
        pass"""
# What only one process has: `check` calls the function in others too.
LOCK = """

import threading

_right, _lock = {function}, threading.Lock()


def {call}:
    with _lock:
        return _right({arguments})"""
OPEN = """

import sqlite3

_right_with_a_database, _counts = {function}, sqlite3.connect(":memory:")


def {call}:
    assert _counts.total_changes == 0
    return _right_with_a_database({arguments})"""
# Exercises that pass a function or a client that can fail: its errors must come out.
RAISES = [
    each for each in ALL if each.id in ("04-2", "06-1", "07-1", "08-2", "09-3", "10-2", "11-1", "11-3", "13-2", "17-3")
]
# Functions with a list or a dict among their arguments.
MUTABLE = ("assign", "sharing", "happenings", "total", "out_of_order", "paid", "to_redrive", "whose_fault", "restore")
MUTABLE += ("compatible", "plan", "lag_and_age", "wake", "hand_on", "judge_again", "transactional_id", "exactly_once")
MUTABLE += ("fate", "advise")


STARTS_PROCESSES = re.compile("crash_search|forkserver|python_process|require_the_same_after_a_restart|relay_trials")
ELSEWHERE = [
    each
    for each in CODE
    if each.file or STARTS_PROCESSES.search((each.folder / "judge.py").read_text(encoding="utf-8"))
]


def around(exercise: Exercise, code: str):
    """The reference answer with that code around it, as a learner submits it."""
    arguments = exercise.call.partition("(")[2].rstrip(")")
    changed = code.format(function=exercise.function, call=exercise.call, arguments=arguments)
    return answer(exercise, exercise.reference + changed)


def refused(verdict) -> bool:
    """Whether the verdict blames the answer, and not the lab."""
    return verdict.outcome in (Outcome.TRY_AGAIN, Outcome.ERROR) and "bug of the lab" not in repr(verdict)


@pytest.mark.parametrize("exercise", CODE, ids=lambda exercise: exercise.id)
def test_what_was_right_once_is_not_right_again(exercise, opened):
    """The first result for ever, as a constant in the code or a cache without a key: other values come in each call."""
    verdict = judged(opened, exercise, around(exercise, ONCE))
    assert refused(verdict), verdict


@pytest.mark.parametrize("exercise", [each for each in ALL if each.function in MUTABLE], ids=lambda each: each.id)
def test_an_answer_that_changes_its_arguments_fails(exercise, opened):
    """Whatever it returns."""
    verdict = judged(opened, exercise, around(exercise, CHANGES))
    assert refused(verdict), verdict


@pytest.mark.parametrize("exercise", ELSEWHERE, ids=lambda each: each.id)
def test_an_answer_may_keep_a_lock_and_in_a_file_anything(exercise, opened):
    """Another process has a new lock, as a program that is started again; a file is run again there."""
    code = LOCK + OPEN if exercise.file else LOCK
    verdict = judged_on_few_events(opened, exercise, around(exercise, code))
    assert verdict.passed, verdict


@pytest.mark.parametrize("exercise", [each for each in ELSEWHERE if not each.file], ids=lambda each: each.id)
def test_what_only_one_process_has_is_named(exercise, opened):
    """A notebook's cell cannot be run again elsewhere."""
    verdict = judged(opened, exercise, around(exercise, OPEN))
    assert verdict.outcome is Outcome.ERROR
    assert "cannot be taken into another process" in verdict.says
    assert "`_counts`, a Connection" in verdict.seen
    assert "inside the function" in verdict.look_at


@pytest.mark.parametrize("exercise", RAISES, ids=lambda exercise: exercise.id)
def test_an_answer_that_swallows_every_error_fails(exercise, opened):
    """`try` around all of it, and `except Exception: pass`."""
    verdict = judged(opened, exercise, around(exercise, SWALLOWS))
    assert refused(verdict), verdict


def test_a_learners_decimal_context_is_theirs_alone(opened):
    """A precision of two digits makes a wrong total wrong, and the next right answer right."""
    total = exercises.by_id()["01-2"]
    coarse = "from decimal import getcontext\n\n" + total.reference.replace(
        "    events =", "    getcontext().prec = 2\n    events ="
    )
    assert opened.check("01-2", answer(total, coarse)).outcome is Outcome.TRY_AGAIN
    assert opened.check("01-2", answer(total, total.reference)).passed


@each
def test_hints_grow_and_end_at_the_solution(exercise, opened):
    """Each call shows one more; after the last one the solution is named."""
    shown = [opened.hint(exercise.id) for _ in range(len(exercise.hints) + 1)]
    assert [note.text.split(" That was the last")[0] for note in shown] == [*exercise.hints, exercise.hints[-1]]
    assert f'`lab.solution("{exercise.id}")`' in shown[-1].text
    solution = opened.solution(exercise.id)
    assert exercise.reference in solution._repr_markdown_()
    assert exercise.explanation.split()[0] in repr(solution)
