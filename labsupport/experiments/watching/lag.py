"""Consumer lag: how far a group has read a topic, and what is left. Pure. Lesson 04 works it out by hand."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labsupport.transactions import READ_COMMITTED

if TYPE_CHECKING:
    import pandas


NOTHING_LEFT = "only transaction markers or removed records are left"


@dataclass(frozen=True)
class PartitionLag:
    """A group's progress in one partition. All numbers except `partition` and `lag` are offsets.

    `begin`: the log start offset. `end`: the log end offset, which the next record will get. `committed`: where the
    group continues after a restart; None if it has committed nothing. `position`: the next offset that a consumer will
    read; None if no consumer was given. `nothing_left`: the offsets that are not committed hold no record that counts,
    only transaction markers, records of aborted transactions, or what compaction has removed. `waiting` says which
    offsets wait for an open transaction.
    """

    partition: int
    begin: int
    end: int
    committed: int | None = None
    position: int | None = None
    nothing_left: bool = False
    waiting: str = ""

    @property
    def out_of_range(self) -> bool:
        """Whether the committed offset lies outside the log, because `begin` or `end` has moved past it."""
        return self.committed is not None and not self.begin <= self.committed <= self.end

    @property
    def lag(self) -> int:
        """How many offsets of the log the group has not committed; 0 if there is no record among them.

        It is the whole log if nothing is committed or the committed offset is out of range: then `auto_offset_reset`
        decides where the group reads. (An admin client shows "nothing committed" as -1; do not subtract that.)
        """
        first = self.begin if self.committed is None or self.out_of_range else self.committed
        return 0 if self.nothing_left else self.end - first

    @property
    def note(self) -> str:
        """What else there is to know, such as `nothing committed` or `out of range`; often an empty text."""
        committed = "nothing committed" if self.committed is None else "out of range" if self.out_of_range else ""
        return ", ".join(filter(None, [committed, NOTHING_LEFT if self.nothing_left else "", self.waiting]))


@dataclass(frozen=True)
class Lag:
    """A group's progress in all partitions of a topic, at one moment. `isolation`: whose records it counts."""

    topic: str
    partitions: tuple[PartitionLag, ...]
    isolation: str = READ_COMMITTED

    @property
    def total(self) -> int:
        """The sum of the partitions' lags (records)."""
        return sum(each.lag for each in self.partitions)

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each partition (index), with begin, position, committed, end (offsets), lag (records) and note.

        A dash stands for what is not known.
        """
        import pandas  # imported here, because it is slower to import than the rest of a lesson

        columns = ["partition", "begin", "position", "committed", "end", "lag", "note"]
        rows = [[getattr(each, column) for column in columns] for each in self.partitions]
        frame = pandas.DataFrame(rows, columns=columns, dtype=object)
        return frame.where(frame.notna(), "–").set_index("partition")


def compute(
    topic: str,
    begins: Mapping[int, int],
    ends: Mapping[int, int],
    committed: Mapping[int, int],
    positions: Mapping[int, int] | None = None,
    nothing_left: Collection[int] = (),
    waiting: Mapping[int, str] | None = None,
) -> Lag:
    """Compute the lag from offsets by partition; `committed`, `positions` and `waiting` may lack partitions.

    `nothing_left`: the partitions where no record that counts is left, as in `PartitionLag`. A negative offset in
    `committed` counts as none: some tools show "nothing committed" as -1.
    """
    known = {partition: offset for partition, offset in committed.items() if offset is not None and offset >= 0}
    partitions = (
        PartitionLag(
            partition,
            begins[partition],
            end,
            known.get(partition),
            (positions or {}).get(partition),
            partition in nothing_left,
            (waiting or {}).get(partition, ""),
        )
        for partition, end in sorted(ends.items())
    )
    return Lag(topic, tuple(partitions))
