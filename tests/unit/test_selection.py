"""`lab.py test NN` and `--changed`: what they choose, and that nothing a change can touch is left out."""

import subprocess
import sys
from pathlib import Path

import pytest

from labsupport.commands import selection
from labsupport.commands import test as command
from labsupport.course.copies import lessons_named
from labsupport.errors import LabError
from labsupport.settings import CHECKOUT

LESSONS = {path.name[:2]: path for path in lessons_named(["all"])}
SOURCES = [path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "labsupport").rglob("*.py")]
SOURCES = [path for path in SOURCES if "/wrong/" not in path and "/other/" not in path]


def test_a_module_touches_what_uses_it_and_nothing_else():
    """Replay is a matter of lesson 11, of a rebuild (13) and of a morning (16); lesson 00 knows nothing of it.

    Lesson 10 has a function that is called like `lab.morning`: in doubt, it is chosen.
    """
    chosen = selection.touched(["labsupport/history/replay.py"])
    assert set(chosen.lessons) == {"10", "11", "13", "16"}
    assert {"tests/kafka/test_replay.py", "tests/kafka/test_replay_command.py"} <= set(chosen.files)
    assert "tests/unit/test_retry.py" not in chosen.files
    assert chosen.files["tests/kafka/test_replay.py"] == "uses labsupport.history.replay"


@pytest.mark.parametrize("module", ["course/session", "waiting", "broker/embedded", "delivery/reading"])
def test_what_every_lesson_stands_on_touches_every_lesson(module):
    """Through any number of imports."""
    assert set(selection.touched([f"labsupport/{module}.py"]).lessons) == set(LESSONS)


def test_no_module_of_the_lab_is_touched_by_nothing():
    """A test or a lesson is chosen for each, or everything, and not only what looks at style."""
    for path in SOURCES:
        chosen = selection.touched([path])
        assert chosen.everything or chosen.lessons or set(chosen.files) > {selection.SHAPE}, path


@pytest.mark.parametrize(
    ("path", "lesson"),
    [
        ("notebooks/05_consumer_groups.ipynb", "05"),
        ("labsupport/course/exercises/05-2/wrong/every_partition.py", "05"),
        ("labsupport/course/exercises/16-2/stub.md", "16"),
    ],
)
def test_a_notebook_and_an_exercise_touch_their_lesson(path, lesson):
    """And what reads notebooks. An answer may be a text."""
    chosen = selection.touched([path])
    assert set(chosen.lessons) == {lesson}
    assert "tests/unit/test_teacher.py" in chosen.files


@pytest.mark.parametrize(
    "path",
    [
        "pyproject.toml", "requirements.txt", "lab.py", "conftest.py", "tests/conftest.py", "tests/nbval.sanitize",
        "labsupport/__init__.py", "labsupport/broker/jars.lock", "labsupport/broker/log4j2.properties", "new.thing",
    ],
)  # fmt: skip
def test_in_doubt_everything_is_chosen(path):
    """What no import tells of; and it says which file it was."""
    chosen = selection.touched(["README.md", path])
    assert chosen.everything.startswith(path)
    assert chosen.arguments(LESSONS) == []
    assert path in "".join(chosen.lines())


def test_a_document_touches_what_reads_it():
    """And no lesson; a test file touches itself, unless it was deleted."""
    chosen = selection.touched(
        ["README.md", "notebooks/glossary.md", "tests/unit/test_lag.py", "tests/unit/test_no.py"]
    )
    assert chosen.lessons == {}
    assert set(chosen.files) == {
        "tests/test_readme.py", selection.FORM, "tests/unit/test_lag.py", selection.SHAPE,
    }  # fmt: skip


def test_a_lesson_is_its_notebook_its_form_its_exercises_and_the_lesson_solved():
    """As pytest collects them; a file that is chosen as well is there whole."""
    chosen = selection.of_lessons(["05"])
    chosen.files["tests/unit/test_lag.py"] = "changed"
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *chosen.arguments(LESSONS)]
    collected = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True).stdout.splitlines()
    tests = [line for line in collected if "::" in line]
    lag = [each for each in tests if each.startswith("tests/unit/test_lag.py")]
    assert lag
    assert all("05" in each for each in tests if each not in lag)
    for part in (
        "notebooks/05_consumer_groups.ipynb::Cell 0",
        "test_with_the_reference_answers_every_check_passes[05_consumer_groups]",
        "test_cells_are_short[05_consumer_groups]",
        "test_the_stub_is_not_attempted[05-3]",
        "test_a_known_wrong_answer_gets_its_feedback[05-1",
        "test_a_right_answer_in_another_style_passes[05-2",
    ):
        assert any(part in each for each in tests), part


@pytest.fixture
def repository(tmp_path):
    """A clone in which a branch was left from `main`; `repository(*words)` runs git in it."""
    home = tmp_path / "Übungslabor"
    home.mkdir()

    def git(*words: str) -> Path:
        names = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *names, *words], cwd=home, check=True, capture_output=True)
        return home

    git("init", "-q", "-b", "main")
    for name in ("kept", "edited", "moved", "committed", "über"):
        (home / name).write_text(f"{name}\n" * 9)
    (home / ".gitignore").write_text("ignored\n")
    git("add", ".")
    git("commit", "-qm", "begun")
    git("switch", "-qc", "branch")
    return git


def test_a_change_is_what_differs_from_where_the_branch_began(repository):
    """Committed or not, new, moved, deleted; not what others did on main since, and not what git ignores."""
    home = repository("status")
    assert selection.changed_files(home) == []
    (home / "committed").write_text("more")
    repository("commit", "-qam", "more")
    repository("switch", "-q", "main")
    (home / "kept").write_text("others")
    repository("commit", "-qam", "others")
    repository("switch", "-q", "branch")
    (home / "edited").write_text("edited now")
    (home / "über").unlink()
    (home / "new").write_text("new")
    (home / "ignored").write_text("made")
    repository("mv", "moved", "elsewhere")
    assert selection.changed_files(home) == ["committed", "edited", "elsewhere", "moved", "new", "über"]


def test_without_a_branch_main_or_a_repository_it_says_what_to_type(repository, tmp_path):
    """Everything can always be run."""
    home = repository("branch", "-qm", "main", "trunk")
    for where in (home, tmp_path):
        with pytest.raises(LabError) as caught:
            selection.changed_files(where)
        assert "python3 lab.py test" in str(caught.value)


@pytest.fixture
def handed(monkeypatch):
    """What pytest is told instead of being started."""
    told = []
    monkeypatch.setattr(command, "_hand_over", told.extend)
    monkeypatch.setattr(command.os, "cpu_count", lambda: 2)
    return told


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ([], ["-n", "4"]),
        (["-k", "jars"], ["-k", "jars"]),
        (["tests/unit", "-x", "05"], ["tests/unit", "-x", "05"]),
        (["05", "-x"], ["-n", "4", *selection.of_lessons(["05"]).arguments(LESSONS), "-x"]),
        (["05", "06"], ["-n", "4", *selection.of_lessons(["05", "06"]).arguments(LESSONS)]),
    ],
)
def test_what_is_not_a_lesson_goes_to_pytest(words, arguments, lab, handed):
    """Several workers, unless somebody who knows pytest says otherwise."""
    assert lab("test", *words).returncode == 0
    assert handed == arguments


def test_an_unknown_lesson_is_refused_with_the_known_ones(lab, handed):
    """Before anything is run."""
    for words in (["77"], ["5"], ["05", "77"]):
        run = lab("test", *words)
        assert run.returncode == 1
        assert "00_start_here" in run.stderr
    assert handed == []


def test_changed_says_what_it_chose_and_why(lab, handed, monkeypatch):
    """And that there is nothing to test, or that everything is."""
    monkeypatch.setattr(selection, "changed_files", lambda: ["labsupport/history/replay.py"])
    run = lab("test", "--changed", "-x")
    assert "tests/kafka/test_replay.py " in run.stdout
    assert "uses labsupport.history.replay" in run.stdout
    assert handed[:2] == ["-n", "4"]
    assert handed[-1] == "-x"
    assert "notebooks/11_replay.ipynb" in handed
    handed.clear()
    monkeypatch.setattr(selection, "changed_files", list)
    run = lab("test", "--changed")
    assert (run.returncode, handed) == (0, [])
    assert "nothing to test" in run.stdout
    monkeypatch.setattr(selection, "changed_files", lambda: ["pyproject.toml"])
    assert "Everything: pyproject.toml changed" in lab("test", "--changed").stdout
    assert handed == ["-n", "4"]
