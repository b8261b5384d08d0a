"""The guide for teachers."""

import re

import pytest

from labsupport.capstone import plans
from labsupport.capstone.wrong_services import WRONG
from labsupport.commands.teacher import guide
from labsupport.course import exercises
from labsupport.settings import CHECKOUT

LESSONS = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_lesson_has_a_guide(path):
    """Outcomes, minutes, each episode's prediction, key points; and nothing that was to be filled in is empty."""
    text = guide(path)
    assert text.startswith(f"# {path.name[:2]} · ")
    assert re.search(r"^\d+ minutes\. After this lesson they can\n\n(- .+[,.]\n){3}", text, re.MULTILINE)
    assert len(re.findall(r"^\d\. \*\*.+\*\* They predict: .+[?.]$", text, re.MULTILINE)) >= 2
    assert len(re.findall(r"^- .+\.$", text.partition("## To end with")[2], re.MULTILINE)) == 5


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_exercise_stands_in_it(path):
    """With its first hint, the episode before it, its explanation, and every known wrong answer."""
    text = guide(path)
    for exercise in exercises.of_lesson(path.name[:2]):
        own = text.partition(f"## Exercise {exercise.id}: {exercise.title}\n")[2].partition("\n## ")[0]
        assert f"{exercise.minutes} minutes" in own
        assert exercise.hints[0] in own
        assert exercise.explanation in own
        assert re.search(r"\*\*Point at:\*\* (episode \d, )?\*.+\*", own)
        for wrong in exercise.wrong:
            assert f'- {wrong.misconception}: "… {wrong.phrase} …"' in own


@pytest.mark.parametrize(
    ("number", "cells"),
    [
        ("01-2", "*Money is not a float*"),
        ("03-2", "*How much is in flight?*"),
        ("09-1", "episode 2, *It may work the next time*"),
        ("09-3", "*What the repair needs to know*; episode 3, *First the letter, then the commit*"),
        ("10-1", "*A morning's dead letters*"),
        ("11-2", "episode 1, *The report, rebuilt*"),
    ],
)
def test_a_teacher_points_at_what_the_exercise_is_about(number, cells):
    """The episode before it, or what the exercise names: an exercise can stand far behind its episode."""
    (path,) = [path for path in LESSONS if path.name.startswith(number[:2])]
    own = guide(path).partition(f"## Exercise {number}: ")[2].partition("\n## ")[0]
    assert f"- **Point at:** {cells}\n" in own


def test_the_guide_to_the_capstone_names_every_step_level_and_wrong_service():
    """Its exercise is a service, so there is no `lab.solution`."""
    text = guide(LESSONS[19])
    for name in (*plans.STEPS, *plans.LEVELS):
        assert f"- **{name}**: " in text
    for name, wrong in WRONG.items():
        assert f'- {name} ({wrong.caught}): "… {wrong.says} …"' in text
    assert "lab.solution" not in text
    assert "lab.solution" in guide(LESSONS[18])
