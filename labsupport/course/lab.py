"""`Lab`: the cluster as one lesson sees it. What episodes, exercises and their judges use."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from kafka import KafkaConsumer
from kafka.admin import ConfigResource, ConfigResourceType

from labsupport.broker.cluster import Cluster, private
from labsupport.delivery import dead_letter, orders
from labsupport.experiments.breaking import members, python_process
from labsupport.experiments.watching import balance, lag, log
from labsupport.settings import Settings


class Lab(Cluster):
    """The cluster as one lesson sees it: the names of its topics and groups begin with the lesson's number."""

    def __init__(self, number: str, cluster: Cluster, settings: Settings):
        super().__init__(
            cluster.bootstrap,
            prefix=cluster.prefix,
            embedded=cluster.embedded,
            deletes_topics=cluster.deletes_topics,
        )
        self.number, self.settings = number, settings
        self.made: set[str] = set()  # topics that `topic` has made since a check began

    @property
    def is_open(self) -> bool:
        """Whether clients can still be made."""
        return self._open

    @property
    def namespace(self) -> str:
        """What the names of this lesson's topics and groups begin with, such as `05-`."""
        return f"{self.prefix}{self.number}-"

    def topic(self, name: str, partitions: int = 1, **config: Any) -> str:
        """An empty topic of this lesson, made anew; returns its whole name. `config` as in `create_topic`."""
        self.made.add(self.namespace + name)
        return self.create_topic(self.namespace + name, partitions, **config)

    def dead_letters(self, topic: str) -> str:
        """An empty topic for the dead letters of `topic`, made anew; returns its name.

        It has as many partitions, takes much larger records, and keeps them for ever.
        """
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        _, ends = log.edges(self, topic)
        found = self.ask(
            f"the settings of {topic}", lambda admin: admin.describe_configs([resource], config_filter="all")
        )
        largest = int(found["topic"][topic]["max.message.bytes"]["value"])
        return self.create_topic(dead_letter.topic_of(topic), len(ends), **dead_letter.topic_settings(largest))

    def group(self, name: str) -> str:
        """The whole name of a consumer group of this lesson; Kafka makes the group when the first member joins."""
        return self.namespace + name

    def clear(self) -> None:
        """Delete this lesson's topics and groups."""
        self.delete_groups(self.groups(self.namespace))
        self.delete_topics(self.topics(self.namespace))

    def log(self, topic: str, group: str | None = None) -> log.Log:
        """All of `topic` as the broker holds it now, for tables and pictures; `group` adds what it has committed."""
        return log.read(self, topic, group)

    def lag(self, topic: str, group: str, consumer: KafkaConsumer | None = None) -> lag.Lag:
        """How far `group` has come in `topic`, and how much is left; `consumer` adds its positions."""
        begins, ends = log.edges(self, topic)
        positions = {}
        for place in consumer.assignment() if consumer else ():
            if place.topic == topic:
                positions[place.partition] = consumer.position(place, timeout_ms=5_000)
        return lag.of(topic, begins, ends, log.committed(self, topic, group), positions)

    @contextlib.contextmanager
    def private(self, size: int = 1, **overrides: str) -> Iterator[Self]:
        """The lesson on `size` brokers of its own for the body of a `with`, whatever LAB_KAFKA says.

        For experiments that freeze, stop or kill a broker, or look at its files; destroyed afterwards. `overrides` are
        broker settings with `_` for `.`, such as `log_cleaner_backoff_ms="200"`.
        """
        with private(size, self.settings, **overrides) as own, type(self)(self.number, own, self.settings) as mine:
            yield mine

    def owners(self, group: str) -> dict[str, list[int]]:
        """By consumer (its name), the partitions that the broker holds it for; empty while the group rebalances."""
        return members.owners(self, group)

    def members(
        self, topic: str, group: str, handle: Callable = members.nothing, **settings: Any
    ) -> contextlib.AbstractContextManager[members.Members]:
        """Members of `group` as processes, for the body of a `with`: `members.start("A")`, `kill`, `freeze` ….

        `handle(record)` is what they do with each record, `settings` their consumers' own. With `policy=retry.Policy()`
        what fails is tried again, and then becomes a dead letter.
        """
        return members.of(self, topic, group, handle, **settings)

    def python(self, *words: object) -> contextlib.AbstractContextManager[python_process.Running]:
        """`python` with these words, such as `"-m", "my.module"`, as a terminal starts it, for the body of a `with`.

        Its `process` can be killed, its `printed` read; it is killed at the end, if it runs.
        """
        return python_process.python(*words)

    def database(self, name: str) -> Path:
        """An empty database (SQLite; tables `effects` and `inbox`), made anew; returns its file."""
        return orders.create(self.settings.home / "databases" / f"{self.number}-{name}.db")

    def balance(self, topic: str, group: str, database: Path, **more: Any) -> balance.Sheet:
        """What became of each event of `topic` for `group`, from the broker and the database; as `balance.read`."""
        return balance.read(self, topic, group, database, **more)
