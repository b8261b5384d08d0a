"""The exercises, a folder each: `judge.py`, `stub.py`, `reference.py`, `other/` and `wrong/`.

A new folder NN-K is found by `lab.check` and by the tests. The modules beside the folders are what judges share.
"""

import importlib
from functools import cache
from pathlib import Path

from labsupport.course.exercise import Exercise


@cache
def by_id() -> dict[str, Exercise]:
    """Every exercise of the course, by its id such as "02-1", in the order of the lessons."""
    ids = sorted(path.name for path in Path(__file__).parent.glob("[0-9][0-9]-[0-9]"))
    return {each: importlib.import_module(f"{__name__}.{each}.judge").EXERCISE for each in ids}


def of_lesson(number: str = "") -> list[Exercise]:
    """The exercises of one lesson, named by its two digits, in their order; without a number, those of all."""
    return [exercise for exercise in by_id().values() if exercise.id.startswith(number)]
