"""What of each partition is done, and so may be committed: pure. The worker keeps its accounts with it (lesson 07).

Committed is one number for each partition, and it says that *all* before it is done. So it may never pass a record that
was handed out and is not finished, even if later ones are.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Mapping


class OffsetTracker:
    """The accounts of one consumer. Places are partitions, in whatever form the caller names them."""

    def __init__(self) -> None:
        self._open: dict[Hashable, deque[int]] = {}  # handed out and not finished, in order; done ones wait behind it
        self._done: dict[Hashable, set[int]] = {}  # finished, but a record before it is not
        self._due: dict[Hashable, int] = {}

    def delivered(self, partition: Hashable, offsets: Iterable[int]) -> None:
        """These records, in the order of their offsets, are about to be handled."""
        self._open.setdefault(partition, deque()).extend(offsets)

    def owns(self, partition: Hashable, offset: int) -> bool:
        """Whether that record was handed out and is still ours: its partition may have gone meanwhile."""
        return offset in self._open.get(partition, ())

    def ack(self, partition: Hashable, offset: int) -> None:
        """That record is done. Nothing comes of it if its partition has gone: whoever has it now gets it again."""
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
        """That record and those after it will be handed out again: they are not open any more."""
        waiting = self._open.get(partition, deque())
        while waiting and waiting[-1] >= offset:
            waiting.pop()
        self._done[partition] = {each for each in self._done.get(partition, ()) if each < offset}

    @property
    def committable(self) -> dict[Hashable, int]:
        """What to commit, by partition: the offset of the next record, below which all is done."""
        return dict(self._due)

    def committed(self, due: Mapping[Hashable, int]) -> None:
        """That much is committed; or was refused, and is no longer ours to commit."""
        self._due = {partition: offset for partition, offset in self._due.items() if due.get(partition) != offset}

    def gone(self, partitions: Iterable[Hashable]) -> None:
        """These partitions were taken away: what is open or due in them is no longer ours."""
        for partition in partitions:
            for accounts in (self._open, self._done, self._due):
                accounts.pop(partition, None)
