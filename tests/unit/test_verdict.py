"""Verdicts, and the progress recorded from them."""

import json
import multiprocessing
import re
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsupport.course import exercises, progress
from labsupport.course.verdict import MIME, Outcome, Verdict
from labsupport.errors import LabError
from labsupport.settings import Settings

SOLVED = Verdict("02-1", Outcome.PASS, "Right.")
TRIED = Verdict(
    "02-1",
    Outcome.TRY_AGAIN,
    "Not <b>yet</b>.",
    given="f(1)",
    came_back="2\n3",
    rule="order is kept",
    look_at="the end",
)


@pytest.fixture
def home(tmp_path) -> Settings:
    """Settings with a home of their own."""
    return Settings(home=tmp_path / "home", cache=tmp_path)


def test_a_verdict_has_three_forms():
    """Plain for terminals, HTML for notebooks, and one for programs."""
    forms = TRIED._repr_mimebundle_()
    assert forms["text/plain"].splitlines()[0] == "TRY AGAIN 02-1 · Not <b>yet</b>."
    assert "  rule:      order is kept" in forms["text/plain"]
    assert "  came back: 2\n             3" in forms["text/plain"]
    assert "Not &lt;b&gt;yet&lt;/b&gt;." in forms["text/html"]
    assert json.loads(json.dumps(forms[MIME]))["outcome"] == "TRY AGAIN"
    with pytest.raises(FrozenInstanceError):
        TRIED.outcome = Outcome.PASS


@pytest.mark.parametrize("outcome", Outcome)
def test_html_takes_its_colours_from_the_theme(outcome):
    """JupyterLab's variables, with something to fall back on; and the word says what the colour says."""
    page = Verdict("02-1", outcome, "…")._repr_html_()
    assert "color: var(--jp-content-font-color1, inherit)" in page
    assert page.count("var(--jp-") == page.count("var(") >= 2
    assert f"<b>{outcome}</b>" in page


def test_what_is_solved_stays_solved(home):
    """Tried, solved, tried again: solved. Not attempted, and a lab that is down or busy, leave no trace."""
    progress.remember(home, Verdict("02-1", Outcome.NOT_ATTEMPTED))
    progress.remember(home, Verdict("02-1", Outcome.LAB_DOWN))
    progress.remember(home, Verdict("02-1", Outcome.LAB_BUSY))
    assert progress.read(home) == progress.Progress()
    progress.remember(home, TRIED)
    assert "  02-1  tried    Whose order is broken?" in progress.read(home).lines("02")
    progress.remember(home, SOLVED)
    progress.remember(home, TRIED)
    assert progress.read(home).exercises == {"02-1": "solved"}
    assert progress.read(home).lines("02")[0] == "1 of 2 exercises solved"
    assert progress.read(home).lines("00")[0] == "0 of 1 exercise solved"
    assert progress.read(home).lines("19") == ["This lesson has no exercises."]


@given(st.dictionaries(st.sampled_from(sorted(exercises.by_id())), st.sampled_from(["solved", "tried"])))
def test_a_code_tells_the_same_wherever_it_was_pasted(told):
    """In capitals, between other words, broken over lines; one line of letters and digits."""
    code = progress.Progress(told).code()
    assert re.fullmatch(r"lab:[0-9a-z ]+, check [0-9a-f]{4}", code)
    assert len(code) < 300
    for pasted in (code, f"Anna: {code.capitalize()}!", "> " + code.replace(" ", "\n"), code.replace(" ", "\u00a0")):
        assert progress.decoded(pasted) == progress.Progress(told)


def test_a_typing_error_in_a_code_is_noticed():
    """Every letter and digit of it counts."""
    code = progress.Progress({"02-1": "solved", "05-3": "tried"}).code()
    for index, old in enumerate(code):
        for new in {"s", "t", "n", "0", "7", "", " "} - {old}:
            mistyped = code[:index] + new + code[index + 1 :]
            if " ".join(mistyped.split()) != code:
                with pytest.raises(LabError, match=r"no code|mistyped|another version"):
                    progress.decoded(mistyped)
    with pytest.raises(LabError, match="no code"):
        progress.decoded("I did everything!")


def test_a_code_of_another_version_is_not_guessed_at():
    """It tells of exercises that are not here."""
    with pytest.raises(LabError, match="another version"):
        progress.decoded(progress._checked(["00ssssssss"], 8, 30))


def test_a_code_from_another_machine_is_added_to_what_is_solved_here(home):
    """What is solved on either stays solved; nothing of a code that cannot be read is taken over."""
    progress.remember(home, SOLVED)
    progress.remember(home, Verdict("05-1", Outcome.TRY_AGAIN))
    code = progress.Progress({"02-1": "tried", "05-1": "solved", "00-1": "solved"}).code()
    progress.add(home, progress.decoded(code))
    assert progress.read(home).exercises == {"02-1": "solved", "05-1": "solved", "00-1": "solved"}


def test_an_exercise_that_does_not_exist_is_not_remembered(home):
    """A mistyped id does not count as progress."""
    progress.remember(home, Verdict("99-9", Outcome.ERROR))
    assert progress.read(home).exercises == {}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"exercises": []}', '{"exercises": {}}', "\x00"])
def test_a_damaged_file_is_kept_aside_and_stops_nothing(home, damage):
    """The learner goes on; what was there can still be looked at."""
    home.home.mkdir()
    (home.home / "progress.json").write_text(damage, encoding="utf-8")
    assert progress.read(home) == progress.Progress()
    progress.remember(home, SOLVED)
    assert progress.read(home).exercises == {"02-1": "solved"}
    assert (home.home / "progress.damaged.json").read_text(encoding="utf-8") == damage


def _solve(folder, number):
    settings = Settings(home=folder, cache=folder)
    progress.predict(settings, f"02{number}", number)


def test_kernels_that_write_at_once_lose_nothing(home):
    """Eight processes, one prediction each."""
    processes = [multiprocessing.get_context("spawn").Process(target=_solve, args=(home.home, n)) for n in "abcdefgh"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert progress.read(home).predictions == {f"02{number}": number for number in "abcdefgh"}


@pytest.mark.parametrize("name", ["2a", "02", "02A", "02aa", None, 2, ["02a"]])
def test_a_prediction_needs_its_name(name):
    """Two digits and a letter."""
    with pytest.raises(LabError, match='two digits and a letter: "02a"'):
        progress.require_prediction(name)
