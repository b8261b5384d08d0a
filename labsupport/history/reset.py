"""Reset a group's offsets: to an end of the log, a time, an offset, or by a shift. Lesson 11.

The latest offset is the last stable one (read_committed), as for a new group of a service: behind it lie records that
count once an open transaction is committed. Kafka's own tool would skip them.

The group must have no members: a member keeps its own position, and would commit over the reset.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import NoError, UnknownTopicOrPartitionError
from kafka.structs import OffsetAndMetadata

from labsupport import groups, transactions
from labsupport.delivery.record_time import milliseconds
from labsupport.errors import LabError
from labsupport.history.offset_range import inside, since
from labsupport.transactions import Bounds

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Where:
    """Where a group continues, in one of these ways. Raises LabError for none or several, and for a naive time.

    `to` is "earliest" or "latest". `time` needs a time zone and means the first record that is not older. `offset` is
    the same in each partition. `shift_by` counts offsets from the committed one, backwards if negative.
    """

    to: str | None = None
    time: datetime | None = None
    offset: int | None = None
    shift_by: int | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) != 1:
            raise LabError(
                "A group continues at one offset per partition.",
                f"given: {', '.join(given) or 'nothing'}",
                'give one of to="earliest", to="latest", time=…, offset=…, shift_by=…',
            )
        if self.to not in (None, "earliest", "latest"):
            raise LabError(f"to is {self.to!r}.", "", 'give to="earliest" or to="latest"')
        if self.time is not None:
            milliseconds(self.time, "time")
        for name in ("offset", "shift_by"):
            if name in given and not isinstance(given[name], int):
                raise LabError(f"{name} is {given[name]!r}.", "offsets are whole numbers", f"give such a {name}")


@dataclass(frozen=True)
class Target:
    """The `offset` at which a group continues in one partition. `committed` is the offset before, None if none.

    `begin` and `end` are the log's. `note` says why `offset` differs from what was asked for.
    """

    partition: int
    begin: int
    end: int
    committed: int | None
    offset: int
    note: str = ""


@dataclass(frozen=True)
class Reset:
    """What was reset, or what a dry run would reset."""

    group: str
    topic: str
    targets: tuple[Target, ...]
    dry_run: bool = False

    @property
    def table(self) -> "pandas.DataFrame":
        """A row per partition: begin, end, committed before, the new offset, and a note."""
        import pandas  # here, because it takes longer to import than all the rest of a lesson

        columns = ["partition", "begin", "end", "committed", "offset", "note"]
        rows = [[getattr(target, column) for column in columns] for target in self.targets]
        frame = pandas.DataFrame(rows, columns=columns, dtype=object)
        return frame.where(frame.notna(), "–").set_index("partition")

    def __str__(self) -> str:
        verb = "would go on" if self.dry_run else "goes on"
        lines = [f"{self.group} {verb} in {self.topic}:"]
        for each in self.targets:
            before = "nothing was committed" if each.committed is None else f"before: {each.committed}"
            note = f"; {each.note}" if each.note else ""
            lines.append(f"  partition {each.partition}: at offset {each.offset} ({before}){note}")
        return "\n".join(lines)

    __repr__ = __str__


def target(
    where: Where,
    partition: int,
    bounds: Bounds,
    committed: int | None,
    found: int | None,
    first: int | None,
    waiting: str = "",
) -> Target:
    """The target in one partition. Pure. A time needs `found` and `first`, as in `offset_range.since`.

    An offset outside the log is moved to its nearest end, with a note. `waiting` says what waits for an open
    transaction; it is a note if the group continues there or behind it. Raises LabError for a shift without a committed
    offset.
    """
    begin, stable, end = bounds
    offset, note = (begin if where.to == "earliest" else stable), ""
    if where.time is not None:
        offset, note = since(found, first, stable)
    elif where.offset is not None:
        offset, note = inside(where.offset, begin, end)
    elif where.shift_by is not None:
        if committed is None:
            raise LabError(
                f"Partition {partition} cannot be shifted by {where.shift_by}.",
                "the group has committed nothing there, so there is no offset to count from",
                "give an end of the log, a time or an offset",
            )
        offset, note = inside(committed + where.shift_by, begin, end)
    notes = (note, waiting if offset >= stable else "")
    return Target(partition, begin, end, committed, offset, "; ".join(filter(None, notes)))


def reset_offsets(
    admin: KafkaAdminClient,
    group: str,
    topic: str,
    *,
    to: str | None = None,
    time: datetime | None = None,
    offset: int | None = None,
    shift_by: int | None = None,
    partitions: Collection[int] | None = None,
    dry_run: bool = False,
) -> Reset:
    """Set where `group` continues in `topic`, in one of the ways of `Where`.

    Creates the group if it does not exist. Raises LabError, and changes nothing, while the group has
    members, if there is no such topic or partition, and for a shift without a committed offset.
    """
    where = Where(to, time, offset, shift_by)
    partitions = _partitions_of(admin, topic, partitions)
    _require_nobody(admin, group)
    targets = _targets(admin, group, partitions, where)
    planned = Reset(group, topic, tuple(targets), dry_run=True)
    return planned if dry_run else _set(admin, planned)


def apply(admin: KafkaAdminClient, planned: Reset) -> Reset:
    """Reset the group to exactly what a dry run has shown.

    Raises LabError, and changes nothing, while the group has members, and if its committed offsets have changed since.
    """
    partitions = [TopicPartition(planned.topic, each.partition) for each in planned.targets]
    committed = _committed(admin, planned.group, partitions)
    for partition, each in zip(partitions, planned.targets, strict=True):
        if committed.get(partition) != each.committed:
            before, now = ("nothing" if at is None else at for at in (each.committed, committed.get(partition)))
            raise LabError(
                f"{planned.group} was not reset: its offsets have changed meanwhile.",
                f"in partition {each.partition} {before} was committed, and now {now}",
                "look at it again: is somebody using it?",
            )
    _require_nobody(admin, planned.group)
    return _set(admin, planned)


def _set(admin: KafkaAdminClient, planned: Reset) -> Reset:
    group, topic = planned.group, planned.topic
    offsets = {
        TopicPartition(topic, each.partition): OffsetAndMetadata(each.offset, "", -1) for each in planned.targets
    }
    answers = admin.alter_group_offsets(group, offsets)
    refused = {partition.partition: error for partition, error in answers.items() if error is not NoError}
    if refused:
        _require_nobody(admin, group)  # the likeliest reason: a member has joined since
        raise LabError(
            f"{group} was not reset in {', '.join(f'partition {each}' for each in sorted(refused))}.",
            ", ".join(sorted({error.__name__ for error in refused.values()})),
            "look at where it is now, and reset it again",
        )
    return replace(planned, dry_run=False)


def _partitions_of(admin: KafkaAdminClient, topic: str, partitions: Collection[int] | None) -> list[TopicPartition]:
    try:
        (described,) = admin.describe_topics([topic])
    except UnknownTopicOrPartitionError:
        described = {"partitions": []}
    numbers = sorted(each["partition_index"] for each in described["partitions"])
    if not numbers:
        raise LabError(f"There is no topic {topic!r}.", "", "is its name right, and was it created?")
    if missing := sorted(set(partitions or ()) - set(numbers)):
        raise LabError(
            f"{topic} has no partition {', '.join(map(str, missing))}.",
            f"it has {len(numbers)}, counted from 0",
            "choose among these, or name none to have all",
        )
    return [TopicPartition(topic, number) for number in numbers if partitions is None or number in partitions]


def _require_nobody(admin: KafkaAdminClient, group: str) -> None:
    if members := groups.describe(admin, group).members:
        names = ", ".join(sorted(member.client_id for member in members))
        raise LabError(
            f"{group} cannot be reset now.",
            f"it has members: {names}. Each keeps its own position, and would commit over the new offset",
            "stop them first (close their consumers; a killed one leaves when its session ends), then try again",
        )


def _targets(admin: KafkaAdminClient, group: str, partitions: list[TopicPartition], where: Where) -> list[Target]:
    bounds = transactions.bounds(admin, partitions)
    waiting = transactions.held_up(admin, bounds)
    found: Mapping[TopicPartition, int | None] = {}
    firsts: Mapping[TopicPartition, int | None] = {}
    if where.time is not None:
        found = _offsets(admin, dict.fromkeys(partitions, max(0, milliseconds(where.time, "time"))))
        firsts = _offsets(admin, dict.fromkeys(partitions, 0))
    committed = _committed(admin, group, partitions)
    return [
        target(
            where,
            each.partition,
            bounds[each],
            committed.get(each),
            found.get(each),
            firsts.get(each),
            waiting.get(each, ""),
        )
        for each in partitions
    ]


def _committed(admin: KafkaAdminClient, group: str, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    stored = admin.list_group_offsets({group: partitions})[group]
    return {partition: each.offset for partition, each in stored.items() if each.offset >= 0}  # -1: nothing committed


def _offsets(admin: KafkaAdminClient, asked: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
    answers = admin.list_partition_offsets(dict(asked), timeout_ms=5_000)
    return {partition: each.offset if each.offset >= 0 else None for partition, each in answers.items()}
