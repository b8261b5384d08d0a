"""What the learner has solved and predicted: a file in the lab's home that all kernels share."""

import contextlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labsupport.broker.process import write_atomically
from labsupport.console import counted
from labsupport.course import exercises
from labsupport.course.submission import shown
from labsupport.course.verdict import Outcome, Verdict
from labsupport.errors import LabError
from labsupport.files import digest, storing
from labsupport.settings import Settings
from labsupport.waiting import only_one

_PARTS = ("exercises", "predictions")
LETTERS = {"s": "solved", "t": "tried", "n": "not yet"}  # in a code; letters and digits survive every chat
CODE = re.compile(r"lab:((?:\s+[0-9]{2}[stn]+)*)\s+([0-9]+) of ([0-9]+) solved, check ([0-9a-f]{4})")
COUNTED = {Outcome.PASS: "solved", Outcome.TRY_AGAIN: "tried", Outcome.ERROR: "tried"}


@dataclass(frozen=True)
class Progress:
    """`exercises`: "solved" or "tried" by id, without those not attempted. `predictions`: their text."""

    exercises: dict[str, str] = field(default_factory=dict)
    predictions: dict[str, str] = field(default_factory=dict)

    def lines(self, lesson: str = "") -> list[str]:
        """A summary, then a line per exercise of `lesson`, or of all lessons without one."""
        listed = exercises.of_lesson(lesson)
        if not listed:
            return ["This lesson has no exercises."]
        solved = sum(self.exercises.get(each.id) == "solved" for each in listed)
        lines = [f"{solved} of {counted(len(listed), 'exercise')} solved"]
        return lines + [f"  {each.id}  {self.exercises.get(each.id, 'not yet'):<8} {each.title}" for each in listed]

    def code(self) -> str:
        """The progress as one line to paste: a letter per exercise of each begun lesson, and a checksum."""
        letters = {word: letter for letter, word in LETTERS.items()}
        marks: dict[str, str] = {}
        for each in exercises.by_id():
            mark = letters.get(self.exercises.get(each, ""), "n")
            marks[each[:2]] = marks.get(each[:2], "") + mark
        begun = [lesson + own for lesson, own in marks.items() if set(own) != {"n"}]
        return _checked(begun, "".join(marks.values()).count("s"), len("".join(marks.values())))


def decoded(text: str) -> Progress:
    """The progress in the code that `text` contains, whatever surrounds it.

    Raises LabError if there is no code, or it was mistyped. A code proves nothing: anybody can make one.
    """
    found = CODE.search(" ".join(text.lower().split()))
    if not found:
        raise LabError(
            "There is no code in this text.", shown(text, 200), "it looks like this: lab: 00s 01st 1 of 20 …"
        )
    words, solved, listed = found[1].split(), int(found[2]), int(found[3])
    if _checked(words, solved, listed) != found[0]:
        raise LabError("This code was mistyped or cut.", f"{found[0]!r} does not fit its check", "ask for it again")
    told = {f"{word[:2]}-{number}": LETTERS[mark] for word in words for number, mark in enumerate(word[2:], start=1)}
    if unknown := sorted(told.keys() - exercises.by_id().keys()):
        seen = f"it has {', '.join(unknown)}, which this lab does not have"
        raise LabError("This code comes from another version of the lab.", seen, "read it with that version")
    return Progress({each: what for each, what in told.items() if what != "not yet"})


def _checked(words: list[str], solved: int, listed: int) -> str:
    text = " ".join(["lab:", *words, f"{solved} of {listed} solved"])
    return f"{text}, check {digest(text)[:4]}"


def read(settings: Settings) -> Progress:
    """The stored progress; empty if there is no file, or it is damaged."""
    try:
        stored = json.loads(_file(settings).read_text(encoding="utf-8"))
        return Progress(*({str(name): str(each) for name, each in stored[part].items()} for part in _PARTS))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Progress()


def remember(settings: Settings, verdict: Verdict) -> None:
    """Store an attempt's outcome; a solved exercise stays solved. Raises LabError if the file cannot be written."""
    if verdict.outcome in COUNTED and verdict.exercise in exercises.by_id():
        with _changing(settings) as progress:
            if progress.exercises.get(verdict.exercise) != "solved":
                progress.exercises[verdict.exercise] = COUNTED[verdict.outcome]


def add(settings: Settings, told: Progress) -> None:
    """Store what was done on another machine; what is solved stays solved. Raises LabError as `remember` does."""
    with _changing(settings) as progress:
        for each, what in told.exercises.items():
            if progress.exercises.get(each) != "solved":
                progress.exercises[each] = what


def predict(settings: Settings, number: str, value: str) -> None:
    """Store a prediction in place of an earlier one. Raises LabError if the file cannot be written."""
    with _changing(settings) as progress:
        progress.predictions[number] = value


def require_prediction(number: Any) -> None:
    """Raise LabError unless `number` names a prediction: a lesson's two digits and a letter."""
    if not isinstance(number, str) or not re.fullmatch("[0-9]{2}[a-z]", number):
        raise LabError(f"There is no prediction {shown(number, 60)}.", "", 'its name is two digits and a letter: "02a"')


def _file(settings: Settings) -> Path:
    return settings.home / "progress.json"


@contextlib.contextmanager
def _changing(settings: Settings) -> Any:
    """The stored progress, to be changed in the body of a `with`, by one kernel at a time."""
    file = _file(settings)
    with (
        storing(settings.home, "LAB_HOME"),
        only_one(file.with_suffix(".lock"), "writing down your progress", timeout=60),
    ):
        progress = read(settings)
        if file.exists() and progress == Progress():  # damaged, or empty: keep it either way
            file.replace(file.with_suffix(".damaged.json"))
        yield progress
        write_atomically(file, json.dumps({part: getattr(progress, part) for part in _PARTS}, indent=1) + "\n")
