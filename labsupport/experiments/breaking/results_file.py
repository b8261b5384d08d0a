"""Results of trials in a file, a line of JSON each, so that a crash lab that was stopped goes on where it was."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from labsupport.errors import LabError

Result = TypeVar("Result")


def append(file: Path, results: Iterable[Any]) -> None:
    """Add the results, which are dataclasses."""
    with file.open("a", encoding="utf-8") as lines:
        lines.writelines(json.dumps(asdict(each)) + "\n" for each in results)


def read(file: Path, kind: type[Result]) -> tuple[Result, ...]:
    """The results of this kind; none if there is no such file. Raises LabError if it holds anything else."""
    if not file.exists():
        return ()
    try:
        return tuple(kind(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines())
    except (ValueError, TypeError) as error:
        raise LabError(f"{file} holds no results of trials.", str(error), "delete it or name another file") from error
