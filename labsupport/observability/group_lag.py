"""Every group's lag and age, seen from outside: by an admin client and a probe, not by the group's members. Lesson 14.

Lag is counted in offsets: log end minus committed. Age is the time since the oldest record that the group has not
committed was written. Both answer "how far behind?", and only age can be compared between topics.

Offsets are asked for in the order committed, begin, end: so a group that commits meanwhile never seems to be ahead of
the log, which other exporters show as a negative lag (https://github.com/danielqsj/kafka_exporter/issues/437).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from labsupport import transactions
from labsupport.broker.clients import Clients
from labsupport.errors import LabError
from labsupport.experiments.watching.lag import NOTHING_LEFT, PartitionLag
from labsupport.experiments.watching.oldest_record import Oldest, Place, Probe
from labsupport.groups import Group, describe_all
from labsupport.transactions import Bounds

PATIENCE = 1.0  # seconds to ask again while a broker comes back: the next snapshot asks again anyhow

T = TypeVar("T")
Wanted = Callable[[str], bool]
Holders = dict[TopicPartition, tuple[str, ...]]


@dataclass(frozen=True)
class Progress:
    """A group's progress in one partition, at one moment.

    `offsets`: begin, end, committed and lag. `stable`: the last stable offset, before which no transaction is open;
    the log end if none is. `age`: seconds since the oldest record that the group has not committed was written; 0 if
    there is no such record, None if it is unknown. Transaction markers and records of aborted transactions are no such
    records; a record of an open transaction is, if there is none before it. `holders`: the transactional ids of open
    transactions.
    """

    topic: str
    offsets: PartitionLag
    stable: int
    age: float | None
    note: str = ""
    holders: tuple[str, ...] = ()

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self.offsets.partition

    @property
    def lag(self) -> int:
        """How many offsets the group has not committed, as Kafka's own tools count: markers have offsets too."""
        return self.offsets.lag

    @property
    def waits(self) -> bool:
        """Whether a record waits for the group: one that a service gets, or may get when a transaction ends."""
        return self.lag > 0 and NOTHING_LEFT not in self.note

    @property
    def hidden(self) -> int:
        """How many offsets lie behind the beginning of an open transaction: read_committed does not read them."""
        return self.offsets.end - self.stable


@dataclass(frozen=True)
class GroupProgress:
    """A group, and its progress in every partition of the topics that it reads, sorted."""

    group: Group
    partitions: tuple[Progress, ...]

    @property
    def lag(self) -> int:
        """The sum of the partitions' lags (offsets)."""
        return sum(each.lag for each in self.partitions)

    @property
    def age(self) -> float | None:
        """The largest age in any partition (seconds); None if no age is known."""
        return max((each.age for each in self.partitions if each.age is not None), default=None)

    def in_topic(self, topic: str) -> "GroupProgress":
        """The same group with this topic only."""
        return GroupProgress(self.group, tuple(each for each in self.partitions if each.topic == topic))


@dataclass(frozen=True)
class Snapshot:
    """All groups that have members or committed offsets, and the ends of all topics except Kafka's own.

    `time`: when it was taken, seconds since 1970. `leaderless`: partitions whose brokers are away; of them and of the
    groups in them nothing is known.
    """

    time: float
    groups: tuple[GroupProgress, ...]
    begins: dict[TopicPartition, int]
    ends: dict[TopicPartition, int]
    leaderless: tuple[TopicPartition, ...] = ()

    def of(self, group: str) -> GroupProgress | None:
        """The group of this name, if there is one."""
        return next((each for each in self.groups if each.group.name == group), None)


def progress(
    topic: str,
    offsets: PartitionLag,
    stable: int,
    oldest: Oldest | None,
    now: float,
    holders: Sequence[str] = (),
) -> Progress:
    """Decide what a group's progress is, from what was asked. Pure.

    `oldest` is what follows in the log after what is committed; None if that is not known. `now`: seconds since 1970.
    `holders`: the transactional ids of open transactions.
    """
    notes = [offsets.note]

    def answer(age: float | None, note: str = "") -> Progress:
        return Progress(topic, offsets, stable, age, ", ".join(filter(None, [*notes, note])), tuple(holders))

    if offsets.lag == 0:
        return answer(0.0)
    if offsets.committed is not None and offsets.committed < offsets.begin:
        notes.append(f"{offsets.begin - offsets.committed} deleted unread")
    if hidden := offsets.end - max(stable, first_of(offsets)):
        notes.append(transactions.waiting(hidden, holders))
    if oldest is None:
        return answer(None, "its age is not known")
    notes.append(oldest.note)
    if oldest.offset is None:
        return answer(0.0, NOTHING_LEFT)
    if oldest.written is None:
        return answer(None, "the oldest record has no timestamp")
    return answer(max(0.0, now - oldest.written))


def first_of(offsets: PartitionLag) -> int:
    """The first offset that the group has not committed."""
    return offsets.end - offsets.lag


class Observer:
    """Takes snapshots of a cluster's groups, with clients of its own. Close it, or use it as a context manager.

    One thread at a time. A snapshot costs a request for the topics, one per broker for the groups, a few per
    coordinator for members and committed offsets (however many groups there are), three per leader for the ends, and
    one fetch for each record whose age is wanted. Ages that were found last time are not asked for again.
    """

    def __init__(self, clients: Clients, groups: Wanted = lambda _: True, topics: Wanted = lambda _: True):
        """`clients`: of the cluster. `groups` and `topics` choose by name what matters; by default all."""
        self.groups, self.topics = groups, topics
        self._connection, self._embedded = clients.connection, clients.embedded
        self._closed = False
        self._open_clients()

    def _open_clients(self) -> None:
        self._clients = Clients(self._connection, embedded=self._embedded)
        self._committed_only = Probe(self._clients, "lab-probe", "read_committed")
        self._everything = Probe(self._clients, "lab-probe-open", "read_uncommitted")
        self._known: dict[Place, Oldest] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its clients; it takes no more snapshots."""
        self._closed = True
        self._clients.close()

    def snapshot(self) -> Snapshot:
        """Look at every group. Raises LabError or KafkaError if Kafka does not answer; the next one may succeed."""
        try:
            return self._look()
        except (LabError, KafkaError):
            # The client remembers for ever where a group's coordinator was (fault of kafka-python 3.0.12).
            if not self._closed:
                self._clients.close()
                self._open_clients()
            raise

    def _look(self) -> Snapshot:
        groups = [each for each in self._ask("the groups", describe_all) if self.groups(each.name)]
        committed = self._ask("what the groups have committed", lambda admin: _committed(admin, groups))
        leaderless, bounds, holders = self._ask("the topics' ends", lambda admin: _ends(admin, self.topics))
        begins, ends = ({each: found[side] for each, found in bounds.items()} for side in (0, 2))
        stable = {each: found.stable if each in holders else found.end for each, found in bounds.items()}
        read = {group.name: _read(group, committed.get(group.name, {}), ends) for group in groups}
        offsets = {
            (name, each): PartitionLag(each.partition, begins[each], ends[each], committed.get(name, {}).get(each))
            for name, partitions in read.items()
            for each in partitions
        }
        places = {key: (key[1], first_of(each)) for key, each in offsets.items() if each.lag}
        oldest = self._oldest(set(places.values()), stable, ends)
        now = time.time()
        found = {
            key: progress(
                key[1].topic,
                each,
                stable[key[1]],
                oldest.get(places[key]) if each.lag else None,
                now,
                holders.get(key[1], ()),
            )
            for key, each in offsets.items()
        }
        seen = (
            GroupProgress(each, tuple(found[each.name, partition] for partition in read[each.name])) for each in groups
        )
        return Snapshot(now, tuple(seen), begins, ends, leaderless)

    def _oldest(
        self, places: set[Place], stable: dict[TopicPartition, int], ends: dict[TopicPartition, int]
    ) -> dict[Place, Oldest]:
        """For each place the oldest record that counts. Places without an answer are left out."""
        known = {place: self._known[place] for place in places & self._known.keys()}
        found = known | self._committed_only.find(places - known.keys(), stable)
        self._known = {place: oldest for place, oldest in found.items() if oldest.offset is not None}
        # Of an open transaction this probe sees nothing. Its records may count yet, and the group may wait for them.
        after = {
            (partition, offset): (partition, max(offset, stable[partition]))
            for (partition, offset), oldest in found.items()
            if oldest.offset is None and stable[partition] < ends[partition]
        }
        open_ones = self._everything.find(after.values(), ends) if after else {}
        return found | {place: open_ones[begin] for place, begin in after.items() if begin in open_ones}

    def _ask(self, what: str, question: Callable[[KafkaAdminClient], T]) -> T:
        return self._clients.ask(what, question, seconds=PATIENCE)


Offsets = dict[TopicPartition, int]


def _committed(admin: KafkaAdminClient, groups: list[Group]) -> dict[str, Offsets]:
    """By group, its committed offsets. A share group has none: the broker keeps track of each record."""
    names = [group.name for group in groups if group.kind != "share"]
    found = admin.list_group_offsets(names) if names else {}
    return {
        name: {each: at.offset for each, at in offsets.items() if at.offset >= 0} for name, offsets in found.items()
    }


def _ends(
    admin: KafkaAdminClient, wanted: Wanted
) -> tuple[tuple[TopicPartition, ...], dict[TopicPartition, Bounds], Holders]:
    """The partitions without a leader; of all others the bounds, and who holds them up. Kafka's topics are left out."""
    names = [name for name in admin.list_topics() if wanted(name) and not name.startswith("__")]
    described = admin.describe_topics(names) if names else []
    leaders = {
        TopicPartition(topic["name"], each["partition_index"]): each["leader_id"]
        for topic in described
        for each in topic["partitions"]
    }
    partitions = [each for each, leader in leaders.items() if leader >= 0]
    leaderless = tuple(sorted(leaders.keys() - set(partitions)))
    found = transactions.bounds(admin, partitions)
    return leaderless, found, transactions.holders(admin, found)


def _read(group: Group, committed: Offsets, ends: Offsets) -> list[TopicPartition]:
    """Every partition of the topics in which the group has committed something or a member owns a partition."""
    topics = {each.topic for each in committed} | {topic for member in group.members for topic in member.partitions}
    return sorted(each for each in ends if each.topic in topics)
