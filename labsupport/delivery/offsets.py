"""Tracks which records of each partition are done, and so what may be committed. Pure. Lesson 07.

A committed offset says that *all* records before it are done. So it must never pass a record that was delivered and is
not done, even if later ones are.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Mapping


class OffsetTracker:
    """The offsets of one consumer. Partitions may be any hashable value."""

    def __init__(self) -> None:
        self._open: dict[Hashable, deque[int]] = {}  # delivered and not done, in order
        self._done: dict[Hashable, set[int]] = {}  # done, but an earlier record is not
        self._due: dict[Hashable, int] = {}

    def delivered(self, partition: Hashable, offsets: Iterable[int]) -> None:
        """Add delivered records, in the order of their offsets."""
        self._open.setdefault(partition, deque()).extend(offsets)

    def owns(self, partition: Hashable, offset: int) -> bool:
        """Whether the record is delivered, not done, and its partition not taken away."""
        return offset in self._open.get(partition, ())

    def ack(self, partition: Hashable, offset: int) -> None:
        """Mark the record as done. Ignored if its partition was taken away: the new owner gets it again."""
        waiting = self._open.get(partition)
        if not waiting or offset not in waiting:
            return
        if waiting[0] != offset:
            self._done.setdefault(partition, set()).add(offset)
            return
        waiting.popleft()
        done = self._done.get(partition)
        while done and waiting and waiting[0] in done:
            offset = waiting.popleft()
            done.remove(offset)
        self._due[partition] = offset + 1

    def take_back(self, partition: Hashable, offset: int) -> None:
        """Forget the record and those after it, which will be delivered again."""
        waiting = self._open.get(partition, deque())
        while waiting and waiting[-1] >= offset:
            waiting.pop()
        self._done[partition] = {each for each in self._done.get(partition, ()) if each < offset}

    @property
    def committable(self) -> dict[Hashable, int]:
        """By partition, the offset to commit: all records before it are done."""
        return dict(self._due)

    def committed(self, due: Mapping[Hashable, int]) -> None:
        """Forget offsets that were committed, or refused because another member has the partition."""
        self._due = {partition: offset for partition, offset in self._due.items() if due.get(partition) != offset}

    def gone(self, partitions: Iterable[Hashable]) -> None:
        """Forget partitions that were taken away."""
        for partition in partitions:
            for accounts in (self._open, self._done, self._due):
                accounts.pop(partition, None)
