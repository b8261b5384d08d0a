"""`Lab`: the cluster as one lesson sees it. What episodes, exercises and their judges use."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from kafka import KafkaConsumer
from kafka.admin import ConfigResource, ConfigResourceType

from labsupport.broker import background, kafka_tool
from labsupport.broker.cluster import Cluster, private
from labsupport.delivery import catch_up, dead_letter, orders
from labsupport.experiments.breaking import members, python_process, services
from labsupport.experiments.watching import balance, lag, log
from labsupport.settings import Settings

WITH_PRIVATE_BROKERS = ("02", "03", "15")  # lessons with `lab.private()`, with the lab's own settings
BROKERS = "brokers"  # among the clients of a lesson: the brokers that it keeps


class Lab(Cluster):
    """The cluster as one lesson sees it: the names of its topics and groups begin with the lesson's number."""

    def __init__(self, number: str, cluster: Cluster, settings: Settings):
        super().__init__(
            cluster.connection,
            prefix=cluster.prefix,
            embedded=cluster.embedded,
            deletes_topics=cluster.deletes_topics,
        )
        self.number, self.settings = number, settings
        self.made: set[str] = set()  # topics that `topic` made since a check began
        self._brokers: tuple[Any, Self] | None = None  # what `brokers` was asked for, and gave

    @property
    def is_open(self) -> bool:
        """Whether clients can still be made."""
        return self._open

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of a `Cluster` on the same brokers, for another process."""
        names = ("connection", "prefix", "embedded", "deletes_topics")
        return {name: getattr(self, name) for name in names}

    @property
    def namespace(self) -> str:
        """What the names of this lesson's topics and groups begin with, such as `05-`."""
        return f"{self.prefix}{self.number}-"

    def topic(self, name: str, partitions: int = 1, **config: Any) -> str:
        """Create an empty topic of this lesson, replacing an earlier one; returns its full name. `config` as in `create_topic`."""
        self.made.add(self.namespace + name)
        return self.create_topic(self.namespace + name, partitions, **config)

    def dead_letters(self, topic: str) -> str:
        """Create an empty topic for the dead letters of `topic`, replacing an earlier one; returns its name.

        It has as many partitions, accepts much larger records, and keeps them for ever.
        """
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        _, ends = log.bounds(self, topic)
        found = self.ask(
            f"the settings of {topic}", lambda admin: admin.describe_configs([resource], config_filter="all")
        )
        largest = int(found["topic"][topic]["max.message.bytes"]["value"])
        return self.create_topic(dead_letter.topic_of(topic), len(ends), **dead_letter.topic_settings(largest))

    def group(self, name: str) -> str:
        """The full name of a consumer group of this lesson; Kafka creates the group when the first member joins."""
        return self.namespace + name

    def clear(self) -> None:
        """Delete this lesson's topics and groups."""
        self.delete_groups(self.groups(self.namespace))
        self.delete_topics(self.topics(self.namespace))

    def tool(self, name: str) -> str:
        """How one of kafka-python's tools ("admin", "consumer", "producer") is typed in a terminal, for this Kafka."""
        return kafka_tool.command(self.connection, name)

    def clear_others(self, open_elsewhere: Collection[str] = ()) -> None:
        """Delete topics and groups of all other lessons, but for those that are open elsewhere.

        After the last lesson a learner would have 37 topics with 71 partitions, and a shared Kafka counts them.
        """
        kept = tuple(f"{self.prefix}{number}-" for number in (self.number, *open_elsewhere))

        def old(names: Iterable[str]) -> list[str]:
            return [name for name in names if self.is_ours(name) and not name.startswith(kept)]

        self.delete_groups(old(self.groups(self.prefix)))
        self.delete_topics(old(self.topics(self.prefix)))

    def log(self, topic: str, group: str | None = None) -> log.Log:
        """All of `topic` as the broker holds it now, for tables and pictures; `group` adds its committed offsets."""
        return log.read(self, topic, group)

    def lag(self, topic: str, group: str, consumer: KafkaConsumer | None = None) -> lag.Lag:
        """The progress and lag of `group` in `topic`; `consumer` adds its positions.

        Transactions count as for a service (read_committed): if no record is left, the lag is 0, whatever the log end.
        """
        positions = {}
        if consumer:
            for each in consumer.assignment():
                if each.topic == topic:
                    positions[each.partition] = consumer.position(each, timeout_ms=5_000)
        return log.lag_of(self, topic, group, positions)

    def replicas(self, topic: str) -> contextlib.AbstractContextManager[Any]:
        """For the body of a `with`: watch the replicas of `topic` in the background; gives a `replicas.Watch`.

        `mark("leader killed")` names what you have just done, `until(condition, what)` waits for a state and marks it;
        `table` has a row for each mark, and `plots.replicas` draws the `history`.
        """
        from labsupport.experiments.watching import replicas  # few lessons need it

        return replicas.watching(self, topic)

    def watch(self, topic: str, group: str) -> contextlib.AbstractContextManager[Any]:
        """For the body of a `with`: sample the lag and age of `group` in `topic` in the background.

        It gives a `sampling.Sampling`: `mark("killed")` names what you have just done, `until(condition, what)` waits for a sample; `samples`, `marks`
        and `table` have the result, `plots.lag_and_age` draws it.
        """
        from labsupport.observability import sampling  # few lessons need it

        return sampling.sampling(self, topic, group)

    @contextlib.contextmanager
    def private(self, size: int = 1, *, controller: bool = False, **overrides: str) -> Iterator[Self]:
        """For the body of a `with`: the lesson on `size` brokers of its own, whatever LAB_KAFKA says.

        For experiments that freeze, stop or kill a broker, or look at its files; deleted afterwards. With `controller`,
        one more process is their controller; otherwise each broker is one too. `overrides` are broker settings with `_`
        for `.`, such as `log_cleaner_backoff_ms="200"`.
        """
        own = private(size, self.settings, controller=controller, **overrides)
        try:
            with own as brokers, type(self)(self.number, brokers, self.settings) as mine:
                yield mine
        finally:
            self.start_spare()

    def brokers(self, size: int = 3, *, controller: bool = False, **overrides: str) -> Self:
        """The lesson on brokers of its own, as in `private`, kept until the lesson is closed.

        The next call with the same arguments returns the same brokers: all started again, and all clients closed.
        Other arguments replace them.
        """
        asked_for = (size, controller, overrides)
        if self._brokers is None or self._brokers[0] != asked_for:
            self.close_client(BROKERS)
            kept = contextlib.ExitStack()
            mine = kept.enter_context(self.private(size, controller=controller, **overrides))
            self._brokers, self._clients[BROKERS] = (asked_for, mine), kept
            kept.callback(setattr, self, "_brokers", None)
        mine = self._brokers[1]
        mine.close_clients()
        if mine.embedded:
            mine.embedded.start()
        return mine

    def postgres(self) -> contextlib.AbstractContextManager[Any]:
        """For the body of a `with`: a PostgreSQL of your own (`postgres.Postgres`), empty; fetched at the first call.

        `connect()` returns a connection of psycopg. Raises LabError if it cannot be fetched or does not start.
        """
        from labsupport.experiments.breaking import postgres  # an extra of one lesson

        return postgres.running(self.settings)

    def debezium(self, database: Any) -> contextlib.AbstractContextManager[Any]:
        """For the body of a `with`: Debezium, which publishes what is inserted into the outbox of this `lab.postgres()`.

        It makes the table `outbox`. Rows go to this lesson's topic that `aggregatetype` names. Fetched at the first
        call; raises LabError if it cannot be fetched or does not start.
        """
        from labsupport.experiments.breaking import debezium  # an extra of one lesson

        return debezium.running(self.settings, self.connection, database, self.namespace)

    def registry(self) -> Any:
        """Start a schema registry (`registry.Registry`) with nothing in it, or use the one that LAB_REGISTRY names.

        There, the subjects of this lesson's topics are deleted first. Raises LabError if it cannot be used.
        """
        from labsupport.registry import registry

        self.close_client("registry")
        if self.settings.registry:
            found = registry.Registry.named(self.settings)
            found.clear(self.namespace)
        else:
            topic = self.topic("schemas", cleanup_policy="compact")
            found = registry.start(self.settings, self.bootstrap, topic)
        self._clients["registry"] = found
        return found

    def start_spare(self) -> None:
        """In the lessons with private brokers, start the next one ahead, so that `private()` need not wait for it."""
        if self.number in WITH_PRIVATE_BROKERS and self.is_open:
            background.start_spare(self.settings)

    def owners(self, group: str) -> dict[str, list[int]]:
        """By consumer name, the partitions that the broker has assigned to it; empty while the group rebalances."""
        return members.owners(self, group)

    def members(
        self, topic: str, group: str, handle: Callable = members.nothing, **settings: Any
    ) -> contextlib.AbstractContextManager[members.Members]:
        """For the body of a `with`: members of `group` as processes, to `start("A")`, `kill`, `freeze` ….

        They call `handle(record)` for each record; `settings` are their consumers' settings. With
        `policy=retry.Policy()` they retry a failed record, and then write a dead letter.
        """
        return members.managed(self, topic, group, handle, **settings)

    def http_services(self, *names: str, **options: Any) -> contextlib.AbstractContextManager[Any]:
        """For the body of a `with`: services that are asked over HTTP, as processes; a dict by name.

        Each writes a row for an event that is posted to its `url`, unless there is one, and then answers 200. Another
        `handle(event, database)` may do so; `takes=0.3` makes that slower (s); with `available=0.9` it turns down one
        event in ten the first time; with `at_once=1` it handles one at a time. You can `kill`, `start`, `freeze` and
        `wake` them; `rows` are their effects.
        """
        from labsupport.experiments.breaking import http_service, service_process  # few lessons need it

        made = (http_service.HttpService(each, self._of("http", each), **options) for each in names)
        return service_process.running({each.name: each for each in made})

    def event_services(self, topic: str, *names: str, **options: Any) -> contextlib.AbstractContextManager[Any]:
        """For the body of a `with`: services that read `topic`, each in a new group and a process; a dict by name.

        They do for each event what `http_services` do, and retry what they turned down.
        """
        from labsupport.experiments.breaking import event_service, service_process

        def make(name: str) -> event_service.EventService:
            database, group = self._of("events", name), self.group(name)
            return event_service.EventService(name, database, kafka=self, topic=topic, group=group, **options)

        return service_process.running({each: make(each) for each in names})

    @contextlib.contextmanager
    def asked_and_told(self, topic: str, *names: str, **options: Any) -> Iterator[tuple[Any, Any]]:
        """For the body of a `with`: the same services in both worlds, as `http_services` and `event_services`."""
        with self.http_services(*names, **options) as asked, self.event_services(topic, *names, **options) as told:
            yield asked, told

    def _of(self, world: str, name: str) -> Path:
        return self.database_file(f"{world}-{name}")

    def catch_up(self, topic: str, name: str, handle: Callable, **more: Any) -> int:
        """Let the group `name` catch up: `handle(event)` for each event of `topic` that it has not committed.

        Returns how many it handled. What fails becomes a dead letter; `more` as in `catch_up.catch_up`.
        """
        return catch_up.catch_up(self, topic, self.group(name), handle, name=name, **more)

    def python(self, *words: object) -> contextlib.AbstractContextManager[python_process.ChildProcess]:
        """For the body of a `with`: run `python` with these arguments, such as `"-m", "my.module"`, as a terminal does.

        You can kill its `process` and read what it `printed`; it is killed at the end if it still runs.
        """
        return python_process.start_python(*words)

    def database(self, name: str) -> Path:
        """Create an empty database (SQLite; tables `effects` and `inbox`), replacing an earlier one; returns its file."""
        return orders.create(self.database_file(name))

    def run_loop(
        self,
        topic: str,
        loop: services.Loop,
        *more: Any,
        starts: int = 1,
        fresh: bool = True,
        dead_letters: str = "",
        **options: Any,
    ) -> balance.Sheet:
        """Run the service `loop(consumer, handle)` in this process, `starts` times in a row; returns its balance sheet.

        `handle(record)` decodes the event and writes its row. Group and database are called as the loop is, and are new
        unless `fresh` is false. The rest is as in `services.run_loop`.
        """
        group, database = self._of_service(loop.__name__, fresh=fresh)
        for _ in range(starts):
            services.run_loop(self, topic, group, database, loop, *more, **options)
        return self.balance(topic, group, database, dead_letters=dead_letters)

    def run_twice(self, topic: str, **options: Any) -> dict[str, int]:
        """Run a service in a process of its own until it is killed or ends; then run it again, to its end, in this one.

        Returns how many events were `lost` and processed `twice`, and how many records were `redelivered`. `options`
        are those of `services.run_twice`: `loop` or `handle`, `kill_at` and `nth`, and the consumer's settings.
        """
        named = options.get("loop") or options["handle"]
        group, database = self._of_service(named.__name__)
        redelivered = services.run_twice(self, topic, group, database, **options)
        sheet = self.balance(topic, group, database)
        return {"lost": sheet.count("lost"), "twice": sheet.count("twice"), "redelivered": redelivered}

    def morning(self, day: str, seed: int, name: str = "") -> Any:
        """Let a morning go wrong, as `mornings.happen` does; its topics and groups are called `name` and the day.

        Returns a `mornings.Morning`. Raises LabError unless `day` is a weekday in English, and the seed a whole number.
        """
        from labsupport.experiments.breaking import mornings  # one lesson needs it

        mornings.require(day, seed)
        name += day
        topic = self.topic(f"{name}-orders", partitions=len(mornings.PARTITIONS))
        groups = {service: self.group(f"{name}-{service}") for service in mornings.SERVICES}
        self.delete_groups(list(groups.values()))
        databases = {service: self.database(f"{name}-{service}") for service in mornings.SERVICES}
        new = mornings.Morning(day, seed, topic, self.dead_letters(topic), groups, databases)
        return mornings.happen(self, new)

    def _of_service(self, name: str, *, fresh: bool = True) -> tuple[str, Path]:
        """The group and the database of a service; empty ones if `fresh`."""
        group, database = self.group(name), self.database_file(name)
        if fresh:
            self.delete_groups([group])
            self.database(name)
        return group, database

    def database_file(self, name: str) -> Path:
        """The file of the database `name` of this lesson, which `database` creates."""
        return self.settings.home / "databases" / f"{self.number}-{name}.db"

    def balance(self, topic: str, group: str, database: Path, **more: Any) -> balance.Sheet:
        """What became of each event of `topic` for `group`, according to broker and database; see `balance.read`."""
        return balance.read(self, topic, group, database, **more)
