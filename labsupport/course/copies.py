"""The learner's copies of the notebooks, and their files, in `work/`: an update never touches them."""

import contextlib
import json
import os
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from pathlib import Path

from labsupport.broker.process import write_atomically
from labsupport.course.exercise import Exercise
from labsupport.errors import LabError
from labsupport.settings import CHECKOUT

NOTEBOOKS = next(
    each for each in (CHECKOUT / "notebooks", CHECKOUT / "labsupport" / "notebooks") if each.is_dir()
)  # in an installed package, data of the package


def cleared(notebook: dict) -> dict:
    """The notebook without outputs, which would give away every prediction."""
    cells = [
        cell | {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell
        for cell in notebook["cells"]
    ]
    return notebook | {"cells": cells}


def fresh(notebook: Path) -> str:
    """The text of a new copy of the notebook."""
    text = json.dumps(cleared(json.loads(notebook.read_text(encoding="utf-8"))), indent=1, ensure_ascii=False)
    return text + "\n"


def make_copies(target: Path, source: Path = NOTEBOOKS) -> list[Path]:
    """Copy each notebook that `target` does not have yet, and return the new copies. Existing ones stay unchanged."""
    copy_documents(target, source)
    made = []
    for notebook in sorted(source.glob("*.ipynb")):
        copy = target / notebook.name
        if not copy.exists():
            write_atomically(copy, fresh(notebook))
            made.append(copy)
    return made


def copy_documents(target: Path, source: Path = NOTEBOOKS) -> None:
    """Put what the lessons link to (glossary, claims, sources) where the links lead: in a checkout it is there."""
    for name in ("README.md", "labsupport"):
        linked = target.parent / name
        if (CHECKOUT / name).exists() and not os.path.lexists(linked):
            with contextlib.suppress(OSError):  # Windows may forbid links: then only these links lead nowhere
                linked.symlink_to(CHECKOUT / name)
    for document in sorted(source.glob("*.md")):
        there = target.parent / "notebooks" / document.name
        if there.parent != source:
            write_atomically(there, document.read_text(encoding="utf-8"))


def lessons_named(names: Sequence[str], source: Path = NOTEBOOKS) -> list[Path]:
    """The notebooks of these lessons: two digits each, such as "05", or "all". Raises LabError for an unknown one."""
    available = sorted(source.glob("*.ipynb"))
    for name in names:
        if name != "all" and not any(path.name.startswith(f"{name}_") for path in available):
            there_are = ", ".join(path.stem for path in available)
            raise LabError(
                f"There is no lesson {name!r}.", f"there are: {there_are}", "give its two digits, such as 00"
            )
    return [path for path in available if "all" in names or path.name[:2] in names]


def renew(notebook: Path, target: Path) -> Path | None:
    """Make a fresh copy of `notebook` in `target`. A changed earlier copy is kept beside it, with its date.

    Returns the path of the earlier copy; None if there was none, or it was unchanged.
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
    """The path of the learner's file for the exercise, whether it exists or not.

    It is beside the running notebook; for a committed notebook it is in `home`, so that their folder stays clean.
    Raises LabError if the exercise's answer is not a file.
    """
    if not exercise.file:
        raise LabError(
            f"The answer to exercise {exercise.id} is not a file.",
            "",
            f'lab.check("{exercise.id}", {exercise.function})',
        )
    return (home / "work" if Path.cwd() == NOTEBOOKS else Path.cwd()) / exercise.file


def answer_file(exercise: Exercise, home: Path) -> tuple[Path, bool]:
    """The learner's file for the exercise, and whether this call made it; an existing file stays unchanged.

    Raises LabError as `answer_path`.
    """
    path = answer_path(exercise, home)
    if path.exists():
        return path, False
    write_atomically(path, exercise.stub + "\n")
    return path, True
