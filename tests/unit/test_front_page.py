"""What JupyterLab's first page says, from facts."""

import json
import re

import pytest

from labsupport.commands.front_page import Lesson, ladder, page
from labsupport.course import exercises, progress
from labsupport.course.copies import NOTEBOOKS
from labsupport.course.verdict import Outcome, Verdict
from labsupport.settings import CHECKOUT, Settings

KAFKA = "Apache Kafka is running."


def lessons(*solved: int) -> list[Lesson]:
    """Lessons with two exercises each, so many of them solved."""
    return [Lesson(f"{n:02}_name.ipynb", f"Question {n}?", 30 + n, each, 2) for n, each in enumerate(solved)]


def table(text: str) -> dict[str, list[str]]:
    """The rows of the ladder by lesson: its mark, its link, its minutes, and what is solved."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "ipynb" in line]
    return {re.match(r"\[(\d\d)", row[1])[1]: row for row in rows if len(row) == 4}


def test_a_beginner_is_led_to_the_first_lesson():
    """Before anything is solved: where to begin, for how long, and whether Kafka runs."""
    text = page(lessons(0, 0), KAFKA)
    assert "**Begin here: [00 · Question 0?](00_name.ipynb)** (30 minutes)" in text
    assert KAFKA in text
    assert "You have solved 0 of 4 exercises." in text
    assert table(text)["01"] == ["", "[01 · Question 1?](01_name.ipynb)", "31", "0 of 2"]


def test_the_next_lesson_is_the_first_with_an_exercise_left():
    """Also if a later one was solved before it; the ladder marks what is done."""
    text = page(lessons(2, 1, 2, 0), KAFKA)
    assert "**Next: [01 · Question 1?](01_name.ipynb)** (31 minutes)" in text
    assert [row[0] for row in table(text).values()] == ["✓", "**next**", "✓", ""]
    assert "python3 lab.py new 01" in text


def test_who_has_solved_everything_is_told_so():
    """Nothing is next, and a fresh copy has an example still."""
    text = page(lessons(2, 2), KAFKA)
    assert "**You have solved all 4 exercises.**" in text
    assert "next**" not in text
    assert "python3 lab.py new 00" in text


@pytest.fixture
def home(tmp_path) -> Settings:
    """Settings with a home of their own."""
    return Settings(home=tmp_path / "home", cache=tmp_path)


def test_the_ladder_has_every_lesson_and_exercise(home):
    """With the minutes that the notebook states, and what is solved."""
    progress.remember(home, Verdict("01-2", Outcome.PASS))
    progress.remember(home, Verdict("01-1", Outcome.TRY_AGAIN))
    rungs = ladder(home)
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    assert [each.file for each in rungs] == [path.name for path in paths]
    assert sum(each.exercises for each in rungs) == len(exercises.by_id())
    assert [each.solved for each in rungs] == [path.name[:2] == "01" for path in paths]
    for rung, path in zip(rungs, paths, strict=True):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        assert rung.minutes == notebook["metadata"]["lab"]["minutes"]
        assert "".join(notebook["cells"][0]["source"]).startswith(f"# {path.name[:2]} · {rung.question}\n")


def test_every_link_of_the_page_resolves_beside_the_copies(home):
    """A lesson opens the learner's copy; the rest is in the checkout."""
    targets = re.findall(r"\]\(([^)]+)\)", page(ladder(home), KAFKA))
    assert {"../notebooks/glossary.md", "../notebooks/claims.md"} < {*targets}
    for target in targets:
        assert (NOTEBOOKS / target if "/" not in target else CHECKOUT / "work" / target).resolve().exists(), target
