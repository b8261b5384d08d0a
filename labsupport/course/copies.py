"""The learner's copies of the notebooks and their files, in `work/`: theirs to change, never touched by an update."""

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from pathlib import Path

from labsupport.broker.process import write_atomically
from labsupport.course.exercise import Exercise
from labsupport.errors import LabError
from labsupport.settings import CHECKOUT

NOTEBOOKS = CHECKOUT / "notebooks"
WORK = CHECKOUT / "work"


def cleared(notebook: dict) -> dict:
    """The notebook without outputs, so that a prediction is not answered before it is made."""
    cells = [
        cell | {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell
        for cell in notebook["cells"]
    ]
    return notebook | {"cells": cells}


def fresh(notebook: Path) -> str:
    """The text of a new copy of that notebook."""
    text = json.dumps(cleared(json.loads(notebook.read_text(encoding="utf-8"))), indent=1, ensure_ascii=False)
    return text + "\n"


def make_copies(source: Path = NOTEBOOKS, target: Path = WORK) -> list[Path]:
    """Copy each notebook that `target` does not have yet, and return the new copies. What is there stays as it is."""
    made = []
    for notebook in sorted(source.glob("*.ipynb")):
        copy = target / notebook.name
        if not copy.exists():
            write_atomically(copy, fresh(notebook))
            made.append(copy)
    return made


def lessons_named(names: Sequence[str], source: Path = NOTEBOOKS) -> list[Path]:
    """The notebooks of these lessons: two digits each, such as "05", or "all". Raises LabError if there is none."""
    available = sorted(source.glob("*.ipynb"))
    for name in names:
        if name != "all" and not any(path.name.startswith(f"{name}_") for path in available):
            there_are = ", ".join(path.stem for path in available)
            raise LabError(
                f"There is no lesson {name!r}.", f"there are: {there_are}", "give its two digits, such as 00"
            )
    return [path for path in available if "all" in names or path.name[:2] in names]


def renew(notebook: Path, target: Path = WORK) -> Path | None:
    """Make a fresh copy of `notebook` in `target`. A changed one that is there is kept beside it, with its date.

    Returns where the earlier copy is now; None if there was none, or if it was as fresh.
    """
    copy, text = target / notebook.name, fresh(notebook)
    kept = None
    if copy.exists() and copy.read_text(encoding="utf-8", errors="replace") != text:
        date = datetime.fromtimestamp(copy.stat().st_mtime).astimezone().date()
        names = (f"{copy.stem}.{date}{f'-{number}' if number > 1 else ''}.ipynb" for number in count(1))
        kept = next(path for path in (target / name for name in names) if not path.exists())
        copy.rename(kept)
    write_atomically(copy, text)
    return kept


def answer_path(exercise: Exercise, home: Path) -> Path:
    """Where the learner's file for that exercise is, or would be.

    It lies beside the notebook that is running. The folder of the committed notebooks stays clean: for one that runs
    there it lies in `home`. Raises LabError for an exercise whose answer is no file.
    """
    if not exercise.file:
        raise LabError(
            f"The answer to exercise {exercise.id} is no file.", "", f'lab.check("{exercise.id}", {exercise.function})'
        )
    return (home / "work" if Path.cwd() == NOTEBOOKS else Path.cwd()) / exercise.file


def answer_file(exercise: Exercise, home: Path) -> tuple[Path, bool]:
    """The learner's file for that exercise, and whether it was made just now; one that is there stays as it is.

    Raises LabError as `answer_path`.
    """
    path = answer_path(exercise, home)
    if path.exists():
        return path, False
    write_atomically(path, exercise.stub + "\n")
    return path, True
