"""Source notebooks for nbgrader. No broker, and no nbgrader."""

import nbformat
import pytest
from click.testing import CliRunner

from labsupport.classroom import nbgrader
from labsupport.commands.main import lab
from labsupport.course import exercises
from labsupport.settings import CHECKOUT

LESSONS = sorted((CHECKOUT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_each_exercise_has_one_locked_cell_behind_its_check_or_is_a_file(path):
    """What nbgrader needs to know stands in the cell; no output of ours is handed out."""
    lesson = nbformat.read(path, as_version=4)
    made, graded, files = nbgrader.source(lesson)
    nbformat.validate(made)
    assert sorted(graded + files) == [each.id for each in exercises.of_lesson(path.name[:2])]
    assert all(bool(exercises.by_id()[each].file) == (each in files) for each in graded + files)
    ids = [cell.id for cell in made.cells]
    for number in graded:
        place = ids.index(f"grade-{number}")
        before, cell = made.cells[place - 1], made.cells[place]
        assert cell.source == f"assert {before.source.strip()}.passed"
        assert cell.metadata["nbgrader"] == {
            "schema_version": 3, "grade": True, "solution": False, "task": False, "locked": True, "points": 1,
            "grade_id": f"grade-{number}", "cell_type": "code",
        }  # fmt: skip
    assert not any(cell.get("outputs") for cell in made.cells)
    assert [cell.id for cell in made.cells if not cell.id.startswith("grade-")] == [cell.id for cell in lesson.cells]


def test_the_command_writes_what_nbgrader_expects_and_keeps_a_configuration_that_is_there(tmp_path):
    """A folder for each assignment; twice is the same."""
    for _ in range(2):
        run = CliRunner().invoke(lab, ["class", "nbgrader", str(tmp_path), "00", "03"])
        assert run.exit_code == 0, run.output
        assert "00_start_here: 1 point\n" in run.output
        assert "a file cannot be graded: 03-2" in run.output
        assert (tmp_path / "source" / "00_start_here" / "00_start_here.ipynb").is_file()
        (tmp_path / "nbgrader_config.py").write_text("c = get_config()  # the teacher's own\n")
    assert "the teacher's own" in (tmp_path / "nbgrader_config.py").read_text()
    assert CliRunner().invoke(lab, ["class", "nbgrader", str(tmp_path), "77"]).exception
