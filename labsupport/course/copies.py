"""The learner's copies of the notebooks, in `work/`: theirs to change, never touched by an update."""

import json
from pathlib import Path

from labsupport.base import CHECKOUT
from labsupport.broker.process import write_atomically

NOTEBOOKS = CHECKOUT / "notebooks"
WORK = CHECKOUT / "work"


def cleared(notebook: dict) -> dict:
    """The notebook without outputs, so that a prediction is not answered before it is made."""
    cells = [
        cell | {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell
        for cell in notebook["cells"]
    ]
    return notebook | {"cells": cells}


def make_copies(source: Path = NOTEBOOKS, target: Path = WORK) -> list[Path]:
    """Copy each notebook that `target` does not have yet, and return the new copies. What is there stays as it is."""
    made = []
    for notebook in sorted(source.glob("*.ipynb")):
        copy = target / notebook.name
        if not copy.exists():
            text = json.dumps(cleared(json.loads(notebook.read_text(encoding="utf-8"))), indent=1, ensure_ascii=False)
            write_atomically(copy, text + "\n")
            made.append(copy)
    return made
