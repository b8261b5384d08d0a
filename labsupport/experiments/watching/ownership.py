"""The history of a group, from its members' moments: who owned which partition when, who handled what. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from labsupport.delivery.moments import DONE_TO_MEMBERS, OWNERSHIP_ENDS, Kind, Moment


@dataclass(frozen=True)
class Span:
    """The time in which `member` owned the partition ("": nobody did); in seconds after the first moment."""

    member: str
    partition: int
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length (s)."""
        return self.end - self.begin

    def overlaps(self, other: "Span") -> bool:
        """Whether another member owned the same partition at the same time."""
        together = self.begin < other.end and other.begin < self.end
        return self.member != other.member and self.partition == other.partition and together


@dataclass(frozen=True)
class Aftermath:
    """What followed something that was done to a member.

    `standstill`: the longest time in which a partition had no owner (s). `rebalances`: their number. `moved`: how many
    partitions have another owner at the end. `given_up`: how many of their partitions the other members had to give up,
    if only for a moment.
    """

    standstill: float
    rebalances: int
    moved: int
    given_up: int


@dataclass(frozen=True)
class GroupHistory:
    """The moments of all members of a group, ordered by time."""

    moments: tuple[Moment, ...]

    @classmethod
    def from_moments(cls, moments: Iterable[Moment]) -> "GroupHistory":
        """Make a history of moments in any order."""
        return cls(tuple(sorted(moments, key=lambda moment: moment.time)))

    def of_kind(self, kind: str, member: str = "") -> list[Moment]:
        """The moments of this kind, of all members or one. Raises LabError if there is no such kind."""
        kind = Kind(kind)
        return [each for each in self.moments if each.kind is kind and member in ("", each.client_id)]

    @property
    def handling_times(self) -> list[tuple[str, float]]:
        """For each handled record, in the order of their ends: the member, and how long (s) it was in its handler."""
        begun: dict[str, float] = {}
        took: list[tuple[str, float]] = []
        for each in self.moments:
            if each.kind is Kind.HANDLING:
                begun[each.client_id] = each.time
            elif each.kind is Kind.HANDLED and each.client_id in begun:
                took.append((each.client_id, each.time - begun.pop(each.client_id)))
        return took

    def after(self, moment: Moment) -> "GroupHistory":
        """The history after that moment."""
        return GroupHistory(tuple(each for each in self.moments if each.time > moment.time))

    def assignment(self, member: str) -> list[int] | None:
        """The partitions that this member knows it owns at the end; None without an assignment since its start."""
        owned = None
        for moment in self.moments:
            if moment.client_id == member:
                if moment.kind is Kind.STARTED:
                    owned = None
                elif moment.kind is Kind.ASSIGNED:
                    owned = sorted({*(owned or ()), *_numbers(moment)})
                elif moment.kind in OWNERSHIP_ENDS and owned is not None:  # before its first join it revokes nothing
                    gone = set(_numbers(moment)) or set(owned)
                    owned = [number for number in owned if number not in gone]
        return owned

    def is_frozen(self, member: str) -> bool:
        """Whether this member was frozen and neither woken nor started since."""
        last = [
            each.kind
            for each in self.moments
            if each.client_id == member and each.kind in (Kind.STARTED, Kind.FROZEN, Kind.WOKEN)
        ]
        return last[-1:] == [Kind.FROZEN]

    @property
    def start_time(self) -> float:
        """The time of the first moment (s), on the monotonic clock; 0 if there is none."""
        return self.moments[0].time if self.moments else 0.0

    @property
    def interventions(self) -> list[Moment]:
        """What was done to members: stop, kill, freeze, wake, slow. A start is not among them."""
        return [each for each in self.moments if each.kind in DONE_TO_MEMBERS]

    @property
    def spans(self) -> list[Span]:
        """Who owned which partition when, ordered by partition. What has not ended ends with the last moment."""
        spans: list[Span] = []
        begun: dict[tuple[str, int], float] = {}
        for moment in self.moments:
            if moment.kind is Kind.ASSIGNED:
                for number in _numbers(moment):
                    begun.setdefault((moment.client_id, number), moment.time)
            elif moment.kind in OWNERSHIP_ENDS:
                owned = [number for member, number in begun if member == moment.client_id]
                for number in _numbers(moment) or owned:
                    if (begin := begun.pop((moment.client_id, number), None)) is not None:
                        spans.append(self._span(moment.client_id, number, begin, moment.time))
        spans += [self._span(*key, begin, self.moments[-1].time) for key, begin in begun.items()]
        return sorted(spans, key=lambda span: (span.partition, span.begin, span.member))

    def _span(self, member: str, partition: int, begin: float, end: float) -> Span:
        return Span(member, partition, begin - self.start_time, end - self.start_time)

    @property
    def gaps(self) -> list[Span]:
        """When nobody owned a partition, between two owners, ordered by partition."""
        gaps = []
        covered: dict[int, float] = {}
        for span in self.spans:
            if span.begin > (until := covered.get(span.partition, span.begin)):
                gaps.append(Span("", span.partition, until, span.begin))
            covered[span.partition] = max(until, span.end)
        return gaps

    def longest_gap(self, since: Moment, partition: int | None = None) -> float:
        """The longest gap (s) that ends after `since`, of this partition or of any; 0 if there is none."""
        gaps = (
            gap for gap in self.gaps if gap.end > since.time - self.start_time and partition in (None, gap.partition)
        )
        return max((gap.seconds for gap in gaps), default=0.0)

    @property
    def rebalances(self) -> list[float]:
        """When each rebalance was complete (s after the first moment): its last member had its assignment."""
        # The first assignment in a generation: a static member can come back in the same one.
        first: dict[tuple[int | None, str], float] = {}
        for moment in self.of_kind(Kind.ASSIGNED):
            first.setdefault((moment.generation, moment.client_id), moment.time - self.start_time)
        ends: dict[int | None, float] = {}
        for (generation, _), at in first.items():
            ends[generation] = max(at, ends.get(generation, 0.0))
        return sorted(ends.values())

    @property
    def aftermath(self) -> Aftermath:
        """What followed the last intervention. Raises IndexError if there was none."""
        done = self.interventions[-1]
        at = done.time - self.start_time
        before = {span.partition: span.member for span in self.spans if span.begin <= at <= span.end}
        after = {span.partition: span.member for span in self.spans}  # ordered by begin: the last owner remains
        revoked = {
            number  # once, although a slow member can cause a second rebalance
            for each in self.after(done).of_kind(Kind.REVOKED)
            for number in _numbers(each)
            if before.get(number) == each.client_id != done.client_id
        }
        return Aftermath(
            standstill=self.longest_gap(done),
            rebalances=sum(end > at for end in self.rebalances),
            moved=sum(after[partition] != owner for partition, owner in before.items()),
            given_up=len(revoked),
        )

    def uncommitted(self, member: str) -> int:
        """How many records this member has handled since its last commit."""
        last = max((each.time for each in self.of_kind(Kind.COMMITTED, member)), default=0.0)
        return sum(each.time > last for each in self.of_kind(Kind.HANDLED, member))

    def who_handled(self, partition: int, offset: int) -> list[str]:
        """The members that handled this record, in the order of time."""
        return [each.client_id for each in self.of_kind(Kind.HANDLED) if each.coordinates == (partition, offset)]

    def handled(self, member: str = "") -> Counter[tuple[int, int | None]]:
        """How often each record, as (partition, offset), was handled, by all members or one."""
        return Counter(each.coordinates for each in self.of_kind(Kind.HANDLED, member))

    @property
    def handled_by_member(self) -> dict[str, int]:
        """The number of records that each member handled; a record handled twice counts twice."""
        return {
            name: len(self.of_kind(Kind.HANDLED, name))
            for name in sorted({moment.client_id for moment in self.moments})
        }


def _numbers(moment: Moment) -> list[int]:
    return [each.partition for each in moment.partitions]
