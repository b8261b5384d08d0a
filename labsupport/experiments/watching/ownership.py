"""What the members of a group did, from the moments that they told: who owned what when, who handled what. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from labsupport.delivery.moments import DONE_TO_MEMBERS, OWNERSHIP_ENDS, Kind, Moment


@dataclass(frozen=True)
class Span:
    """A stretch of time in which `member` had the partition, or nobody (""); seconds since the first moment."""

    member: str
    partition: int
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.begin

    def meets(self, other: "Span") -> bool:
        """Whether another member had the same partition at the same time."""
        together = self.begin < other.end and other.begin < self.end
        return self.member != other.member and self.partition == other.partition and together


@dataclass(frozen=True)
class History:
    """The moments of all members of a group, in the order of time."""

    moments: tuple[Moment, ...]

    @classmethod
    def of(cls, moments: Iterable[Moment]) -> "History":
        """From moments in any order."""
        return cls(tuple(sorted(moments, key=lambda moment: moment.time)))

    def told(self, kind: str, member: str = "") -> list[Moment]:
        """The moments of that kind; those of one member, if it is named. Raises LabError if there is no such kind."""
        kind = Kind(kind)
        return [each for each in self.moments if each.kind is kind and member in ("", each.client_id)]

    def after(self, moment: Moment) -> "History":
        """What came after that moment."""
        return History(tuple(each for each in self.moments if each.time > moment.time))

    def owned(self, member: str) -> list[int] | None:
        """The partitions that this member knows to be its own in the end; None if it has not heard since it started."""
        owned = None
        for moment in self.moments:
            if moment.client_id == member:
                if moment.kind is Kind.STARTED:
                    owned = None
                elif moment.kind is Kind.ASSIGNED:
                    owned = sorted({*(owned or ()), *(place.partition for place in moment.partitions)})
                elif (
                    moment.kind in OWNERSHIP_ENDS and owned is not None
                ):  # before its first join it is told to give up nothing
                    gone = {place.partition for place in moment.partitions} or set(owned)
                    owned = [number for number in owned if number not in gone]
        return owned

    def frozen(self, member: str) -> bool:
        """Whether this member was frozen, and not woken or started since."""
        last = [
            each.kind
            for each in self.moments
            if each.client_id == member and each.kind in (Kind.STARTED, Kind.FROZEN, Kind.WOKEN)
        ]
        return last[-1:] == [Kind.FROZEN]

    @property
    def zero(self) -> float:
        """When it begins, on the clock of its moments."""
        return self.moments[0].time if self.moments else 0.0

    @property
    def done_to(self) -> list[Moment]:
        """What was done to members, but for starting them."""
        return [each for each in self.moments if each.kind in DONE_TO_MEMBERS]

    @property
    def spans(self) -> list[Span]:
        """Who had which partition from when to when, by partition. What has not ended ends with the last moment."""
        spans: list[Span] = []
        begun: dict[tuple[str, int], float] = {}
        for moment in self.moments:
            if moment.kind is Kind.ASSIGNED:
                for place in moment.partitions:
                    begun.setdefault((moment.client_id, place.partition), moment.time)
            elif moment.kind in OWNERSHIP_ENDS:
                mine = [number for who, number in begun if who == moment.client_id]
                for number in [place.partition for place in moment.partitions] or mine:
                    if (moment.client_id, number) in begun:
                        spans.append(
                            self._span(moment.client_id, number, begun.pop((moment.client_id, number)), moment.time)
                        )
        spans += [self._span(*key, begin, self.moments[-1].time) for key, begin in begun.items()]
        return sorted(spans, key=lambda span: (span.partition, span.begin, span.member))

    def _span(self, member: str, partition: int, begin: float, end: float) -> Span:
        return Span(member, partition, begin - self.zero, end - self.zero)

    @property
    def gaps(self) -> list[Span]:
        """When nobody had a partition, between two owners, by partition."""
        gaps = []
        covered: dict[int, float] = {}
        for span in self.spans:
            if span.begin > (until := covered.get(span.partition, span.begin)):
                gaps.append(Span("", span.partition, until, span.begin))
            covered[span.partition] = max(until, span.end)
        return gaps

    def standstill(self, since: Moment, partition: int | None = None) -> float:
        """The longest gap (s) of the partition, or of any, among those that end after `since`."""
        gaps = (gap for gap in self.gaps if gap.end > since.time - self.zero and partition in (None, gap.partition))
        return max((gap.seconds for gap in gaps), default=0.0)

    @property
    def rebalances(self) -> list[float]:
        """When each rebalance was done (s): the last of its members had been told what it has."""
        told: dict[tuple[int | None, str], float] = {}  # the first time in a generation: a static member may come back
        for moment in self.told(Kind.ASSIGNED):
            told.setdefault((moment.generation, moment.client_id), moment.time - self.zero)
        ends: dict[int | None, float] = {}
        for (generation, _), at in told.items():
            ends[generation] = max(at, ends.get(generation, 0.0))
        return sorted(ends.values())

    def handled(self, member: str = "") -> Counter[tuple[int, int]]:
        """How often each record, (partition, offset), was handled; by one member, if it is named."""
        return Counter((each.partitions[0].partition, each.offset) for each in self.told(Kind.HANDLED, member))

    @property
    def by_member(self) -> dict[str, int]:
        """How many records each member handled."""
        return {
            name: len(self.told(Kind.HANDLED, name)) for name in sorted({moment.client_id for moment in self.moments})
        }
