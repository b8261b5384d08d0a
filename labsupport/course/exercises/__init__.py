"""The exercises, one folder each: `judge.py`, `stub.py`, `reference.py`, `other/` and `wrong/`.

`lab.check` and the tests find a new folder NN-K by themselves. The modules beside the folders serve several judges; a
module that only one judge uses lies in its folder.
"""

import importlib
from functools import cache
from pathlib import Path

from labsupport.course.exercise import Exercise


@cache
def by_id() -> dict[str, Exercise]:
    """Every exercise by its id, such as "02-1", in the order of the lessons."""
    ids = sorted(path.name for path in Path(__file__).parent.glob("[0-9][0-9]-[0-9]"))
    return {each: importlib.import_module(f"{__name__}.{each}.judge").EXERCISE for each in ids}


def of_lesson(number: str = "") -> list[Exercise]:
    """The exercises of the lesson with these two digits, in order; of all lessons without a number."""
    return [exercise for exercise in by_id().values() if exercise.id.startswith(number)]
