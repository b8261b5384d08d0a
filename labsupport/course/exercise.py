"""What an exercise consists of. The folders of `exercises/` are made of these."""

import contextlib
import json
import os
import tempfile
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.errors import LabError
from labsupport.experiments.breaking import python_process
from labsupport.experiments.watching import log

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

# The topic that a check works on: `lab.topic(CHECKED)`. Each kernel has its own; deleted when the check has ended.
CHECKED = f"lab-check-{os.getpid()}"


def through_kafka(lab: "Lesson", records: Iterable[dict[str, Any]], partitions: int = 1) -> log.Log:
    """Send `records` (arguments of KafkaProducer.send) to an empty topic; what it holds then.

    A topic that the learner's code deletes meanwhile does not hold the check up for long; it raises a KafkaError.
    """
    topic = lab.topic(CHECKED, partitions=partitions)
    producer = lab.producer(name="check", max_block_ms=3_000)
    sent = [producer.send(topic, **record) for record in records]
    producer.flush(timeout=5)
    for sending in sent:
        sending.get(timeout=5)
    return log.read(lab, topic)


def require_the_same_after_a_restart(answer: Submission, argument: Any, here: Any, given: str, broken: str) -> None:
    """Raise TryAgain if `answer(argument)`, which is `here`, is something else in another process.

    Python's hash() of a text, or id(), is another number there. The other process gets a copy of what the answer
    remembers; so where `here` is a function, it is called afterwards: it can ask about other things first.
    """
    with contextlib.suppress(LabError):  # it uses something that no other process can have
        there = python_process.run(answer.value, argument, name="your function").returned
        here = here() if callable(here) else here
        if isinstance(there, type(here)) and there != here:
            raise TryAgain(
                says="After a restart the same is called otherwise.",
                given=given,
                came_back=f"{shown(here)} here, and {shown(there)} in another process",
                broken=broken,
                look_at="hash() and id() are other numbers in each process; the id itself is a text already",
            )


def _program(path: Path) -> str:
    return path.read_text(encoding="utf-8").rstrip("\n")


@dataclass(frozen=True)
class Wrong:
    """A known wrong answer: a misconception that people really have, its code, and what the feedback must say."""

    misconception: str
    code: str
    phrase: str

    @classmethod
    def read(cls, path: Path) -> "Wrong":
        """The wrong answer in a file."""
        first, _, code = _program(path).partition("\n")
        misconception, _, phrase = first.removeprefix("# ").partition(" -> ")
        return cls(misconception, code, phrase)


@dataclass(frozen=True)
class Note:
    """A hint or a solution: plain text in a terminal, Markdown in a notebook."""

    title: str
    text: str
    code: str = ""

    def __repr__(self) -> str:
        indented = "\n\n" + textwrap.indent(self.code, "    ") if self.code else ""
        return f"{self.title}: {textwrap.fill(self.text, 100)}{indented}"

    def _repr_markdown_(self) -> str:
        code = f"\n\n```python\n{self.code}\n```" if self.code else ""
        return f"**{self.title}:** {self.text}{code}"


@dataclass(frozen=True)
class Exercise:
    """One exercise: a folder named by its id, with the judge in `judge.py` and programs beside it.

    `stub.py` and `reference.py` are what the notebook's cell begins with and what `lab.solution` shows. `other/` holds
    right answers in other styles, `wrong/` known wrong ones: the first line of each is `# misconception -> phrase`,
    where the phrase is what the feedback must say.

    `call` is how the check calls the learner's function; `difficulty` is easy, medium or hard. The first hint asks a
    question; `explanation` follows the reference answer. `judge(answer, lab)` calls `answer` as if it were the
    learner's function, raises TryAgain at the first property that does not hold, and returns the sentence of a PASS.
    All calls of `answer` together may compute for `seconds`. `file` is the name of the learner's file, if the answer
    is one: it is judged in a process of its own. So is a function with `apart`, which can hold up a thread that no
    alarm reaches. `points_at` are the cells that a teacher points at, such as "ep-1"; by default the episode before
    the exercise.
    """

    id: str
    title: str
    difficulty: str
    minutes: int
    call: str
    hints: tuple[str, ...]
    explanation: str
    judge: Callable[[Submission, "Lesson"], str]
    seconds: float = 1.5
    file: str = ""
    apart: bool = False
    points_at: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the judge and the programs lie."""
        return Path(self.judge.__code__.co_filename).parent

    @cached_property
    def stub(self) -> str:
        """What the learner begins with."""
        return _program(self.folder / "stub.py")

    @cached_property
    def reference(self) -> str:
        """The answer that `lab.solution` shows."""
        return _program(self.folder / "reference.py")

    @cached_property
    def other_styles(self) -> tuple[str, ...]:
        """Right answers, written differently."""
        return tuple(map(_program, sorted((self.folder / "other").glob("*.py"))))

    @cached_property
    def wrong(self) -> tuple[Wrong, ...]:
        """The known wrong answers."""
        return tuple(map(Wrong.read, sorted((self.folder / "wrong").glob("*.py"))))

    def hint(self, number: int) -> Note:
        """Hint `number`, counted from 1; beyond the last one, the last again and what comes after it."""
        last = number >= len(self.hints)
        after = f' That was the last one. `lab.solution("{self.id}")` shows an answer and explains it.' if last else ""
        number = min(number, len(self.hints))
        return Note(f"Hint {number} of {len(self.hints)} for {self.id}", self.hints[number - 1] + after)

    def solution(self) -> Note:
        """An answer, explained."""
        return Note(f"An answer to {self.id}", self.explanation, self.reference)

    def written(self, code: str, folder: Path) -> Any:
        """What a learner who has written this code hands to `check`: the function, or its file in a folder here."""
        if self.file:
            path = Path(tempfile.mkdtemp(dir=folder), self.file)
            path.write_text(code + "\n", encoding="utf-8")
            return path
        names: dict[str, Any] = {"json": json, "Decimal": Decimal}
        exec(compile(code, f"<{self.id}>", "exec"), names)
        return names[self.function]

    @property
    def function(self) -> str:
        """The name of the learner's function."""
        return self.call.partition("(")[0]
