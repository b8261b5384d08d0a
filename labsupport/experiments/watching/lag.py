"""How far a group has come in a topic, and how much is left: pure. Lesson 04 works it out by hand first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class PartitionLag:
    """A group's place in one partition; every number but `partition` and `lag` is an offset.

    `begin` is the first record that is still there, `end` what the next record will get. `committed` is the next one
    that the group will read after a restart, None if it has committed nothing; `position` the next one that a consumer
    will be handed, None if there is none to ask.
    """

    partition: int
    begin: int
    end: int
    committed: int | None = None
    position: int | None = None

    @property
    def out_of_range(self) -> bool:
        """Whether something is committed that the log does not hold: its beginning or its end has moved past it."""
        return self.committed is not None and not self.begin <= self.committed <= self.end

    @property
    def lag(self) -> int:
        """How many records lie there that the group has not committed.

        All of them, if it has committed nothing, or nothing that counts any more: then `auto_offset_reset` decides
        what it reads. (An admin client shows "nothing committed" as -1, which is no number to subtract from.)
        """
        first = self.begin if self.committed is None or self.out_of_range else self.committed
        return self.end - first

    @property
    def note(self) -> str:
        """What has to be known about `committed`, or nothing."""
        if self.committed is None:
            return "nothing committed"
        return "out of range" if self.out_of_range else ""


@dataclass(frozen=True)
class Lag:
    """A group's places in all partitions of a topic, at one moment."""

    topic: str
    partitions: tuple[PartitionLag, ...]

    @property
    def total(self) -> int:
        """The lag of all partitions together."""
        return sum(place.lag for place in self.partitions)

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each partition: begin, position, committed, end (offsets), lag (records) and a note."""
        import pandas  # here, because it takes longer to import than all the rest of a lesson

        columns = ["partition", "begin", "position", "committed", "end", "lag", "note"]
        rows = [[getattr(place, column) for column in columns] for place in self.partitions]
        frame = pandas.DataFrame(rows, columns=columns, dtype=object)
        return frame.where(frame.notna(), "–").set_index("partition")


def compute(
    topic: str,
    begins: Mapping[int, int],
    ends: Mapping[int, int],
    committed: Mapping[int, int],
    positions: Mapping[int, int] | None = None,
) -> Lag:
    """The lag from offsets by partition; what is missing in `committed` or `positions` is not known or not there.

    A negative number in `committed` is how some tools show that there is nothing.
    """
    known = {partition: offset for partition, offset in committed.items() if offset is not None and offset >= 0}
    places = (
        PartitionLag(partition, begins[partition], end, known.get(partition), (positions or {}).get(partition))
        for partition, end in sorted(ends.items())
    )
    return Lag(topic, tuple(places))
