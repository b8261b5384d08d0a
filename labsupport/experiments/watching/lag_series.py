"""A group's lag and age in a topic over time: samples, and files of them. Lesson 14."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

RECORDED = Path(__file__).with_name("recorded_series.csv")  # six shapes from a real broker: tests/record_shapes.py


@dataclass(frozen=True)
class Sample:
    """A group's progress in one partition at one moment.

    `at`: seconds since the first sample. `members`: how many the group has. `end` and `committed`: offsets; `committed`
    is None if the group has committed nothing. `lag`: offsets. `age`: seconds of the oldest record that it has not
    committed, 0 if there is none, None if unknown.
    """

    at: float
    partition: int
    members: int
    end: int
    committed: int | None
    lag: int
    age: float | None


Series = tuple[Sample, ...]  # of one partition, in order of time


def by_partition(samples: Iterable[Sample]) -> dict[int, Series]:
    """The series of each partition."""
    found: dict[int, list[Sample]] = {}
    for each in samples:
        found.setdefault(each.partition, []).append(each)
    return {partition: tuple(found[partition]) for partition in sorted(found)}


def table(samples: Sequence[Sample]) -> "pandas.DataFrame":
    """A row for each sample."""
    import pandas  # imported here, because it is slower to import than the rest of a lesson

    names = [field.name for field in fields(Sample)]
    return pandas.DataFrame([astuple(each) for each in samples], columns=names)


def write(file: Path, shapes: dict[str, Sequence[Sample]]) -> None:
    """Write named samples as CSV, with an empty field for None."""
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["shape", *(field.name for field in fields(Sample))])
        rows.writerows([name, *astuple(each)] for name, samples in shapes.items() for each in samples)


def read(file: Path = RECORDED) -> dict[str, tuple[Sample, ...]]:
    """The samples of each shape in the file, in order of time."""
    found: dict[str, list[Sample]] = {}
    with file.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            found.setdefault(row.pop("shape"), []).append(_sample(row))
    return {name: tuple(samples) for name, samples in found.items()}


def _sample(row: dict[str, str]) -> Sample:
    return Sample(
        float(row["at"]),
        int(row["partition"]),
        int(row["members"]),
        int(row["end"]),
        int(row["committed"]) if row["committed"] else None,
        int(row["lag"]),
        float(row["age"]) if row["age"] else None,
    )
