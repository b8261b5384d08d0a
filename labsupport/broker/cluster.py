"""A Kafka cluster, the lab's own or another: addresses, clients, topics, groups, brokers.

It hides nothing of Kafka: `producer()` and `consumer()` return kafka-python's own objects, made with `config()`.
"""

import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic, OffsetSpec
from kafka.errors import InvalidReplicationFactorError

from labsupport.broker import background
from labsupport.broker.advice import speaking
from labsupport.broker.clients import Clients
from labsupport.broker.embedded import EmbeddedBroker, EmbeddedCluster
from labsupport.broker.jars import kafka_version
from labsupport.broker.metadata import reach
from labsupport.client_properties import readable_by_others
from labsupport.connection import Connection
from labsupport.console import note
from labsupport.errors import LabError
from labsupport.groups import Group, describe, remove_members
from labsupport.settings import Settings
from labsupport.waiting import until

GONE = 60.0  # seconds until a group that is deleted is gone; ends only what a member keeps alive
LARGEST_ELSEWHERE = 8 << 20  # bytes of a batch; a dead letter topic asks for more, and managed clusters refuse that


class Cluster(Clients):
    """A Kafka cluster as the lab uses it.

    Topics and groups of the lab are named `{prefix}{two digits}-{name}`; no others are ever deleted. Close it, or use
    it as a context manager: that closes every client it made.
    """

    def __init__(
        self,
        connection: Connection | str,
        *,
        prefix: str = "",
        embedded: EmbeddedCluster | None = None,
        deletes_topics: bool | None = None,
    ):
        """`embedded`: the brokers behind it, if they are the lab's own.

        `deletes_topics=False`: use a fresh name instead of deleting a topic. This is the default for the lab's own
        broker on Windows, where deleting a topic can stop the broker (KAFKA-1194).
        """
        super().__init__(connection, embedded=embedded)
        self.prefix = prefix
        self.deletes_topics = not (embedded and sys.platform == "win32") if deletes_topics is None else deletes_topics

    def __repr__(self) -> str:
        what = f"Apache Kafka {kafka_version()}" if self.embedded else "Kafka"
        return f"<{what} at {self.bootstrap}>"

    # Topics and groups

    def is_ours(self, name: str) -> bool:
        """Return whether the lab may delete a topic or group of this name."""
        return re.fullmatch(re.escape(self.prefix) + r"[0-9]{2}-[A-Za-z0-9._-]+", name) is not None

    def topics(self, namespace: str = "") -> list[str]:
        """Return the names of all topics that begin with `namespace`, sorted."""
        return sorted(
            name for name in self.ask("the topics", KafkaAdminClient.list_topics) if name.startswith(namespace)
        )

    def create_topic(self, name: str, partitions: int = 1, *, replicas: Sequence[int] = (), **config: Any) -> str:
        """Create the topic `name` empty, deleting an earlier one, and wait until it can be used; returns its name.

        `replicas`: the brokers that hold each partition, its leader first; by default Kafka chooses.
        `config` has topic settings with `_` for `.`, such as `cleanup_policy="compact"`. The lab's topics keep records
        for ever (`retention_ms=-1`), because the story's clock lies in the past: by default Kafka would delete its
        records within minutes. Where topics are not deleted, the result is a fresh name.
        """
        self._require_ours([name])
        if not isinstance(partitions, int) or partitions < 1:
            raise LabError(f"A topic cannot have {partitions!r} partitions.", "", "give a whole number from 1")
        if self.deletes_topics:
            self.delete_topics([name])
        else:
            taken = set(self.topics())
            candidates = [name, *(f"{name}.{number}" for number in range(2, len(taken) + 3))]
            name = next(candidate for candidate in candidates if candidate not in taken)
        if not self.embedded and "max_message_bytes" in config:
            config["max_message_bytes"] = min(int(config["max_message_bytes"]), LARGEST_ELSEWHERE)
        settings = {key.replace("_", "."): str(value) for key, value in ({"retention_ms": -1} | config).items()}
        placed: dict[str, Any] = {"num_partitions": partitions, "replication_factor": -1}
        if replicas:
            placed = {"replica_assignments": {number: list(replicas) for number in range(partitions)}}

        def created() -> bool:
            try:
                self.admin().create_topics([NewTopic(name, topic_configs=settings, **placed)])
            except InvalidReplicationFactorError as error:
                if "fenced" not in str(error):
                    raise
                return False  # no broker counts as alive for the moment: the machine slept, or is very busy
            return True

        with speaking(f"Could not create the topic {name!r} with {partitions} partitions."):
            until(created, 60, "the controller to unfence the broker", every=0.2)
            self.admin().wait_for_topics([name])
            # An elected leader may not have created its log yet: each takes milliseconds, on a busy machine more.
            begins = {TopicPartition(name, number): OffsetSpec.EARLIEST for number in range(partitions)}
            seconds = 15 + 0.1 * partitions
            self.ask(f"the partitions of {name}", lambda admin: admin.list_partition_offsets(begins), seconds)
        return name

    def delete_topics(self, names: Sequence[str]) -> None:
        """Delete those of `names` that exist, and wait until they are gone. Raises LabError for a foreign name."""
        self._require_ours(names)
        doomed = set(names) & set(self.topics())
        if doomed and self.deletes_topics:
            with speaking(f"Could not delete {', '.join(sorted(doomed))}."):
                self.admin().delete_topics(sorted(doomed))
            until(lambda: not doomed & set(self.topics()), 60, f"{', '.join(sorted(doomed))} to be gone")

    def groups(self, namespace: str = "") -> list[str]:
        """Return the ids of all groups that begin with `namespace`, sorted."""
        listed = [group["group_id"] for group in self.ask("the groups", KafkaAdminClient.list_groups)]
        return sorted(name for name in listed if name.startswith(namespace))

    def delete_groups(self, names: Sequence[str]) -> None:
        """Delete those of these groups that exist; evict their members first, because a killed kernel leaves some.

        Raises LabError for a foreign name, and for a group that a member keeps joining.
        """
        self._require_ours(names)

        who: list[str] = []  # the members found, also after an eviction

        def all_gone() -> bool:
            left = sorted(set(names) & set(self.groups()))
            for name in left:
                group = self.describe(name)
                who[:] = group.owners or who
                remove_members(self.admin(), group)
            if left:
                self.admin().delete_groups(left)
            return not left

        with speaking(f"Could not delete the groups {', '.join(names)}."):
            try:
                until(all_gone, GONE, f"the groups {', '.join(names)} to be gone")
            except LabError as error:
                mend = (
                    "shut down other kernels (Kernel, Shut Down All) and stop programs that read with these groups,\n"
                )
                seen = f"a member keeps joining: {', '.join(who)}"
                raise LabError(error.tried, seen, mend + "then run the cell again") from None

    def evict(self, group: str) -> None:
        """Remove all members from the group, alive or not; its offsets stay. A live member joins again."""
        self._require_ours([group])
        remove_members(self.admin(), self.describe(group))

    def describe(self, group: str) -> Group:
        """Return the group and its members as the broker knows them, whichever protocol they use."""
        return self.ask(f"the members of {group}", lambda admin: describe(admin, group))

    def _require_ours(self, names: Sequence[str]) -> None:
        foreign = [name for name in names if not self.is_ours(name)]
        if foreign:
            raise LabError(
                f"The lab does not create or delete {', '.join(map(repr, foreign))}.",
                f"its own names have the form {self.prefix}NN-name: a lesson's two digits, then letters, digits, . _ -",
                "choose such a name, or use lab.admin(), which has no such limit",
            )

    # Brokers

    def broker(self, number: int = 1) -> EmbeddedBroker:
        """Return broker `number`, to stop, kill, pause or start again. Raises LabError if it is not the lab's own."""
        brokers = self._own().brokers
        if not 1 <= number <= len(brokers):
            raise LabError(f"There is no broker {number}.", f"this cluster has 1 to {len(brokers)}")
        return brokers[number - 1]

    def controller(self) -> EmbeddedBroker:
        """Return the controller, to stop, kill, pause or start again. Raises LabError if it has no own process."""
        if (found := self._own().controller) is None:
            raise LabError(
                "This cluster has no controller of its own.",
                "each of its brokers is a controller too",
                "give it one: with lab.private(3, controller=True) as kafka: kafka.controller().kill()",
            )
        return found

    def _own(self) -> EmbeddedCluster:
        if self.embedded is None:
            raise LabError(
                "This experiment stops, pauses or kills a broker.",
                f"the lab did not start the broker at {self.bootstrap}, and others may be using it",
                "run it on a broker of its own: with lab.private() as kafka: kafka.broker(1).pause()",
            )
        return self.embedded


def connect(settings: Settings) -> Cluster:
    """Return the cluster that `settings` name, up and answering: the lab's own (started if needed) or another."""
    if settings.embedded:
        embedded, _ = background.ensure(settings)
        return Cluster(embedded.connection, embedded=embedded)
    connection = reach(settings.connection)
    if (file := connection.source) and (connection.password or connection.key) and readable_by_others(file):
        note(f'Other users of this machine may read your password in {file}: chmod 600 "{file}"')
    return Cluster(connection, prefix=settings.prefix)


@contextlib.contextmanager
def private(
    size: int = 1, settings: Settings | None = None, *, controller: bool = False, **overrides: str
) -> Iterator[Cluster]:
    """Run a cluster of `size` brokers for the body of a `with`, whatever LAB_KAFKA says; destroy it afterwards.

    With `controller`, one more process is their controller; otherwise each broker is one too. `overrides` are broker
    settings with `_` for `.`, such as `log_cleaner_backoff_ms="200"`. Raises LabError if there is not enough memory.
    """
    dotted = {key.replace("_", "."): str(value) for key, value in overrides.items()}
    embedded = background.private(settings or Settings.from_environment(), size, dotted, controller=controller)
    try:
        with Cluster(embedded.connection, embedded=embedded) as cluster:
            yield cluster
    finally:
        embedded.destroy()
