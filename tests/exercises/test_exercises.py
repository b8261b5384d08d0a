"""Every stub, other right answer and known wrong answer, judged on a real broker.

What `lab.solution` shows is judged in the lessons themselves (test_notebooks).
"""

import os
from pathlib import Path

import pytest

from labsupport import lesson
from labsupport.course import exercises
from labsupport.course.exercise import Exercise
from labsupport.course.verdict import Outcome

ALL = list(exercises.by_id().values())
each = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
STYLES = [(exercise, code) for exercise in ALL for code in exercise.other_styles]
WRONG = [(exercise, wrong) for exercise in ALL for wrong in exercise.wrong]


@pytest.fixture(scope="module")
def opened(own_home):
    """A lesson of no notebook."""
    return lesson("98")


def answer(exercise: Exercise, code: str):
    """What the learner hands to `check`: the function that `code` defines in a cell, or the file with that code."""
    return exercise.written(code, Path(os.environ["LAB_HOME"]))


def test_there_are_exercises():
    """An empty package would pass every other test."""
    assert len(ALL) >= 5


@each
def test_an_exercise_is_complete(exercise):
    """Two or three hints, the first a question; two known wrong answers and another style; an explanation."""
    assert len(exercise.hints) in (2, 3)
    assert "?" in exercise.hints[0]
    assert len(exercise.wrong) >= 2
    assert len({wrong.misconception for wrong in exercise.wrong}) == len(exercise.wrong)
    assert exercise.other_styles
    assert len(exercise.explanation.split()) >= 10
    assert exercise.difficulty in ("easy", "medium", "hard")
    assert exercise.stub.endswith("return ...")
    assert f"def {exercise.call}:" in exercise.stub


@each
def test_the_stub_is_not_attempted(exercise, opened):
    """The committed notebook is unsolved."""
    assert opened.check(exercise.id, answer(exercise, exercise.stub)).outcome is Outcome.NOT_ATTEMPTED


@pytest.mark.parametrize(("exercise", "code"), STYLES, ids=[f"{e.id}-{n}" for n, (e, _) in enumerate(STYLES)])
def test_a_right_answer_in_another_style_passes(exercise, code, opened):
    """Properties are judged, not the text of the code; and what an earlier check left does not matter."""
    verdict = opened.check(exercise.id, answer(exercise, code))
    assert verdict.passed, verdict


@pytest.mark.parametrize(("exercise", "wrong"), WRONG, ids=[f"{e.id}: {w.misconception}" for e, w in WRONG])
def test_a_known_wrong_answer_is_told_what_is_wrong(exercise, wrong, opened):
    """TRY AGAIN or ERROR, with the phrase that names the misconception and one thing to look at."""
    verdict = opened.check(exercise.id, answer(exercise, wrong.code))
    assert verdict.outcome in (Outcome.TRY_AGAIN, Outcome.ERROR)
    assert wrong.phrase in repr(verdict)
    assert verdict.look_at or verdict.outcome is Outcome.ERROR
    assert "mistake of the lab's" not in repr(verdict)


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
