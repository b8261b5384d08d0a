"""What an exercise consists of, and what every judge can use."""

import json
import os
import tempfile
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.experiments.breaking import python_process
from labsupport.experiments.watching import log

# A check's own topic: `lab.topic(CHECKED)`. Each process has another, and deletes it after the check.
CHECKED = f"lab-check-{os.getpid()}"


def through_kafka(lab: Lab, records: Iterable[dict[str, Any]], partitions: int = 1) -> log.Log:
    """Send `records` (arguments of KafkaProducer.send) to an empty topic, and return its log.

    Raises KafkaError within seconds if the learner's code deletes the topic meanwhile.
    """
    topic = lab.topic(CHECKED, partitions=partitions)
    producer = lab.producer(name="check", max_block_ms=3_000)
    sent = [producer.send(topic, **record) for record in records]
    producer.flush(timeout=60)
    for sending in sent:
        sending.get(timeout=60)
    return log.read(lab, topic)


def require_the_same_after_a_restart(answer: Submission, argument: Any, here: Any, given: str, rule: str) -> None:
    """Raise TryAgain if `answer(argument)`, which is `here` in this process, differs in another process.

    Python's hash() of a string, or id(), differs there. The other process gets a copy of what the answer remembers. If
    `here` is a function, it is called after that, and can call the answer with other arguments first. Raises
    UnpicklableError.
    """
    there = python_process.run(answer.value, argument, name="your function").returned
    here = here() if callable(here) else here
    if isinstance(there, type(here)) and there != here:
        raise TryAgain(
            says="In a new process your function returns something else for the same argument.",
            given=given,
            came_back=f"{shown(here)} here, and {shown(there)} in another process",
            rule=rule,
            look_at="hash() and id() differ in each process; the event's id is a text already",
        )


def _program(path: Path) -> str:
    return path.read_text(encoding="utf-8").rstrip("\n")


@dataclass(frozen=True)
class Wrong:
    """A known wrong answer: a common misconception, its code, and a phrase that its feedback contains."""

    misconception: str
    code: str
    phrase: str

    @classmethod
    def read(cls, path: Path) -> "Wrong":
        """Read the wrong answer in a file."""
        first, _, code = _program(path).partition("\n")
        comment = first.removeprefix("<!-- ").removesuffix(" -->").removeprefix("# ")  # of Markdown, or of Python
        misconception, _, phrase = comment.partition(" -> ")
        return cls(misconception, code, phrase)


@dataclass(frozen=True)
class Note:
    """A hint or a solution, as text in a terminal and as Markdown in a notebook."""

    title: str
    text: str
    code: str = ""
    language: str = "python"

    def __repr__(self) -> str:
        indented = "\n\n" + textwrap.indent(self.code, "    ") if self.code else ""
        return f"{self.title}: {textwrap.fill(self.text, 100)}{indented}"

    def _repr_markdown_(self) -> str:
        code = f"\n\n```{self.language}\n{self.code}\n```" if self.code else ""
        return f"**{self.title}:** {self.text}{code}"


@dataclass(frozen=True)
class Exercise:
    """One exercise: a folder with its id as name, the judge in `judge.py`, and programs beside it.

    The notebook's cell begins with `stub.py`, and `lab.solution` shows `reference.py`. `other/` has right answers in
    other styles, `wrong/` known wrong ones. Their first line is `# misconception -> phrase`, and the feedback must
    contain the phrase.

    `call` is the call of the learner's function; `difficulty` is easy, medium or hard. The first hint asks a question;
    `explanation` follows the reference answer. `judge(answer, lab)` calls `answer` like the learner's function, raises
    TryAgain at the first property that does not hold, and returns the sentence of a PASS. All calls of `answer`
    together may use `seconds` of processor time. `file` is the name of the learner's file, if the answer is a file,
    which is judged in a process of its own. So is a function with `apart=True`: it can block a thread that no alarm
    reaches. A file whose name does not end in `.py` is a text, which `answer()` returns; its stub, its reference and
    the other answers are texts too. `points_at` names the cells that a teacher points at, such as "ep-1"; by default
    the episode before the exercise.
    """

    id: str
    title: str
    difficulty: str
    minutes: int
    call: str
    hints: tuple[str, ...]
    explanation: str
    judge: Callable[[Submission, Lab], str]
    seconds: float = 1.5
    file: str = ""
    apart: bool = False
    points_at: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of the judge and the programs."""
        return Path(self.judge.__code__.co_filename).parent

    @property
    def suffix(self) -> str:
        """What the names of the programs beside the judge end in, such as `.py`."""
        return Path(self.file).suffix or ".py"

    @property
    def is_code(self) -> bool:
        """Whether the answer is Python, rather than a text."""
        return self.suffix == ".py"

    @cached_property
    def stub(self) -> str:
        """The learner's starting point."""
        return _program(self.folder / f"stub{self.suffix}")

    @cached_property
    def reference(self) -> str:
        """The answer that `lab.solution` shows."""
        return _program(self.folder / f"reference{self.suffix}")

    @cached_property
    def other_styles(self) -> tuple[str, ...]:
        """Right answers in other styles."""
        return tuple(map(_program, sorted((self.folder / "other").glob(f"*{self.suffix}"))))

    @cached_property
    def wrong(self) -> tuple[Wrong, ...]:
        """The known wrong answers."""
        return tuple(map(Wrong.read, sorted((self.folder / "wrong").glob(f"*{self.suffix}"))))

    def hint(self, number: int) -> Note:
        """Hint `number`, counted from 1; the last one, which names `lab.solution`, for every higher number."""
        last = number >= len(self.hints)
        after = f' That was the last one. `lab.solution("{self.id}")` shows an answer and explains it.' if last else ""
        number = min(number, len(self.hints))
        return Note(f"Hint {number} of {len(self.hints)} for {self.id}", self.hints[number - 1] + after)

    def solution(self) -> Note:
        """The reference answer with its explanation."""
        return Note(
            f"An answer to {self.id}", self.explanation, self.reference, self.suffix.replace("py", "python")[1:]
        )

    def written(self, code: str, folder: Path) -> Any:
        """What a learner with this code passes to `check`: the function, or a file in a new folder below `folder`."""
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
