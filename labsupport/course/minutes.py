"""How long a lesson takes, computed from its notebook.

The rates are those of readers who meet the subject for the first time: 200 words or 20 lines of code a minute, three
minutes for an experiment with its prediction, two for a variation, and for an exercise what it states. Extras, which
no later lesson needs, with the exercises in them, and the table of troubles, which is for looking up, do not count.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Effort:
    """What a reader of a lesson's core has to do."""

    words: int
    lines: int  # of code, without blank ones
    experiments: int
    variations: int
    exercises: int  # minutes

    @property
    def minutes(self) -> float:
        """The minutes that all of it takes."""
        return self.words / 200 + self.lines / 20 + 3 * self.experiments + 2 * self.variations + self.exercises

    @property
    def stated(self) -> int:
        """The minutes that the lesson states: rounded up to five."""
        return 5 * math.ceil(self.minutes / 5)


def of_lesson(cells: Iterable[Any], exercises: Mapping[str, int]) -> Effort:
    """Return the effort of a notebook's cells; `exercises`: the minutes that each exercise states, by its id."""
    core = list(_core(cells))
    tasks = {cell["id"] for cell in core}
    read = [cell for cell in core if not re.match(r"trouble|(task|ex|check|hint)-\d", cell["id"])]
    prose = "\n".join(_source(cell) for cell in read if cell["cell_type"] == "markdown")
    code = "\n".join(_source(cell) for cell in read if cell["cell_type"] == "code")
    return Effort(
        words=len(_readable(prose).split()),
        lines=sum(bool(line.strip()) for line in code.splitlines()),
        experiments=prose.count("**Predict:**"),
        variations=prose.count("**Vary it:**"),
        exercises=sum(exercises[name] for name in exercises if f"task-{name}" in tasks),
    )


def _core(cells: Iterable[Any]) -> Iterable[Any]:
    """The cells that are in no extra."""
    extra = False
    for cell in cells:
        if cell["cell_type"] == "markdown" and (heading := re.match(r"## (.+)", _source(cell))):
            extra = heading[1].startswith("Extra")
        if not extra:
            yield cell


def _readable(prose: str) -> str:
    """The words on the page, without HTML and the addresses of links."""
    return re.sub(r"<[^>]+>|\]\([^)]*\)", " ", prose)


def _source(cell: Any) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)
