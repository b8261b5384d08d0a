"""What becomes of a record when brokers die, as `tests/kafka/test_fates.py` sees it on real ones. Pure. Lesson 18."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain, combinations

REFUSED, KEPT, LOST, OFFLINE = FATES = ("refused", "kept", "lost", "offline")
BROKERS = (1, 2, 3)


@dataclass(frozen=True)
class Death:
    """A record is sent to a partition, and brokers that are in sync die; the others are dead already.

    With acks="all" they die after the acknowledgement, with acks=1 before a follower has fetched the record.
    """

    leader: int
    isr: tuple[int, ...]
    acks: int | str
    min_isr: int
    dead: tuple[int, ...]

    @property
    def fate(self) -> str:
        """REFUSED, or else what became of the acknowledged record, while nobody comes back: KEPT, LOST or OFFLINE."""
        if self.acks == "all" and len(self.isr) < self.min_isr:
            return REFUSED
        if not set(self.isr) - set(self.dead):
            return OFFLINE
        return LOST if self.acks == 1 and self.leader in self.dead else KEPT


def deaths(brokers: Collection[int] = BROKERS) -> Iterator[Death]:
    """Every death of three brokers, small ISRs and few dead first."""
    for isr in sorted(subsets(brokers), key=len):
        for dead in sorted(subsets(isr), key=len):
            for leader in isr:
                for acks in (1, "all"):
                    for min_isr in (1, 2, 3):
                        yield Death(leader, isr, acks, min_isr, dead)


def subsets(of: Collection[int]) -> Iterator[tuple[int, ...]]:
    """Every subset, the empty one first."""
    return chain.from_iterable(combinations(of, size) for size in range(len(of) + 1))
