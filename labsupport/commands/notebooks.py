"""`python3 lab.py notebooks --write`: run the lessons and store their outputs.

An output stays as stored if its comparable text is unchanged, so a second run changes nothing.
"""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import click
import nbformat

from labsupport.broker import temporary_homes
from labsupport.commands.terminal import console, example, require_checkout
from labsupport.course.copies import lessons_named
from labsupport.errors import LabError
from labsupport.interrupts import handlers_restored
from labsupport.settings import CHECKOUT

if TYPE_CHECKING:
    from nbclient import NotebookClient

SANITIZE = CHECKOUT / "tests" / "nbval.sanitize"
BITMAPS = ("image/png", "image/jpeg")
CELL_TIMEOUT = 300  # seconds, as in the test run: it ends only what hangs


@click.command(**example("python3 lab.py notebooks --write", "python3 lab.py notebooks --write 00"))
@click.option(
    "--write", is_flag=True, required=True, expose_value=False, help="Run the notebooks and store their outputs."
)
@click.argument("lessons", nargs=-1)
def notebooks(lessons: tuple[str, ...]) -> None:
    """For authors: run the lessons in notebooks/ and store their outputs. Without LESSONS: all of them."""
    require_checkout("store the lessons' outputs")
    write(lessons)


def write(lessons: Sequence[str]) -> None:
    """Run the notebooks of these lessons (two digits each; default: all) and store their outputs.

    Raises LabError for an unknown lesson and for a cell that fails; earlier notebooks stay written.
    """
    paths = lessons_named(lessons or ["all"])
    with own_home():
        for path in paths:
            console.print(f"{path.stem} …", end=" ")
            console.print("written" if run(path) else "unchanged")


@contextlib.contextmanager
def own_home() -> Iterator[None]:
    """Give kernels that start in the body of a `with` a broker of their own; a learner's lab is not touched."""
    with temporary_homes.temporary("lab-"):
        os.environ["TQDM_DISABLE"] = "1"  # a progress bar, which only a slow run shows, is no output to store
        yield


def run(path: Path) -> bool:
    """Run one notebook from top to bottom in a fresh kernel and store its outputs; returns whether the file changed."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    stored = nbformat.read(path, as_version=4)
    fresh = nbformat.from_dict(stored)
    try:
        execute(client_of(fresh, path.parent))
    except (CellExecutionError, CellTimeoutError) as error:
        raise LabError(f"{path.name} did not run to its end.", str(error), "nothing was written") from error
    before = path.read_text(encoding="utf-8")
    text = nbformat.writes(merge(stored, fresh)) + "\n"
    if text != before:
        path.write_text(text, encoding="utf-8")
    return text != before


def client_of(notebook: nbformat.NotebookNode, folder: Path) -> "NotebookClient":
    """Return a client that executes the notebook in `folder` and puts the outputs into it."""
    from nbclient import NotebookClient

    where = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=CELL_TIMEOUT, resources=where, record_timing=False)


def execute(client: "NotebookClient") -> None:
    """Execute its notebook, without the kernel's own messages. Raises what `NotebookClient.execute` does."""
    with handlers_restored():  # nbclient leaves the system's own behind: SIGTERM would end this program at once
        client.execute(stderr=subprocess.DEVNULL)


def differing(stored: Sequence[nbformat.NotebookNode], fresh: Sequence[nbformat.NotebookNode]) -> list[str]:
    """Return the ids of the cells whose outputs differ, as nbval compares them."""
    patterns = _patterns()
    return [
        new.id
        for old, new in zip(stored, fresh, strict=True)
        if new.cell_type == "code" and comparable(old.outputs, patterns) != comparable(_joined(new.outputs), patterns)
    ]


def merge(stored: nbformat.NotebookNode, fresh: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return `fresh` with the stored outputs of cells that printed the same, and without data of this machine."""
    patterns = _patterns()
    before = {cell.id: cell for cell in stored.cells}
    merged = nbformat.from_dict(fresh)
    for cell in merged.cells:
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
            old = before[cell.id].outputs
            if comparable(old, patterns) == comparable(cell.outputs, patterns):
                cell.outputs = old
                for output in cell.outputs:
                    if "execution_count" in output:  # JupyterLab shows it beside the output
                        output.execution_count = cell.execution_count
    merged.metadata.language_info = nbformat.from_dict({"name": "python"})
    return merged


def comparable(outputs: Sequence[nbformat.NotebookNode], patterns: dict[str, str]) -> list:
    """Return what nbval compares of a cell's outputs: all but bitmaps, metadata and counts, sanitized.

    How often a program's output was flushed is a matter of the machine, so pieces of one stream are one.
    """
    from nbval.plugin import coalesce_streams

    def clean(value: object) -> object:
        if isinstance(value, str):
            for regex, replacement in patterns.items():
                value = re.sub(regex, replacement, value)
        return value

    kept = []
    for output in coalesce_streams(deepcopy(list(outputs))):
        fields = {key: value for key, value in output.items() if key in ("name", "text", "ename", "evalue")}
        fields |= {key: value for key, value in output.get("data", {}).items() if key not in BITMAPS}
        kept.append((output.output_type, {key: clean(value) for key, value in fields.items()}))
    return kept


def _patterns() -> dict[str, str]:
    from nbval.plugin import get_sanitize_patterns

    return dict(get_sanitize_patterns(SANITIZE.read_text(encoding="utf-8")))


def _joined(outputs: Sequence[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Join streams that were printed in pieces, as nbval does."""
    from nbval.plugin import coalesce_streams

    return coalesce_streams(outputs)
