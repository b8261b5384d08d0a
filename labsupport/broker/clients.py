"""kafka-python's clients, made with the lab's timeouts, registered by name and closed together."""

import logging
from collections.abc import Callable
from typing import Any, Self, TypeVar

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import BrokerResponseError, KafkaConnectionError, NodeNotReadyError

from labsupport.broker.advice import DOWN, speaking
from labsupport.broker.embedded import EmbeddedCluster
from labsupport.broker.metadata import reach
from labsupport.connection import Connection
from labsupport.errors import LabError
from labsupport.kafka_fixes import (
    answers_in_time,
    ask_for_topics,
    await_coordinators,
    close,
    repaired,
    require_right_to_read,
    rest_when_idle,
    stays_fenced,
)
from labsupport.waiting import until

# The lab's defaults for clients: timeouts in milliseconds. Kafka's own suit a data centre; here a learner would look at
# a silent cell for up to five minutes.
# The first connection has longer: somebody has just answered, and on a busy machine a client takes seconds.
ANY_CLIENT = {"bootstrap_timeout_ms": 60_000, "request_timeout_ms": 5_000}
TIMEOUTS = {
    "producer": ANY_CLIENT | {"delivery_timeout_ms": 30_000, "max_block_ms": 10_000},
    "consumer": ANY_CLIENT
    | {
        "session_timeout_ms": 6_000,
        "heartbeat_interval_ms": 1_000,
        "max_poll_interval_ms": 30_000,
        "consumer_timeout_ms": 5_000,  # `for record in consumer` ends when nothing arrives for this long
    },
    "admin": ANY_CLIENT,
}
CLIENTS = {"producer": KafkaProducer, "consumer": KafkaConsumer, "admin": KafkaAdminClient}

T = TypeVar("T")

log = logging.getLogger("labsupport")


class Clients:
    """The clients of one Kafka cluster. Close it, or use it as a context manager: that closes every client it made."""

    def __init__(self, connection: Connection | str, *, embedded: EmbeddedCluster | None = None):
        """`connection` may be an address (plain text). `embedded`: the brokers behind it, if they are the lab's own."""
        self._connection, self.embedded = Connection.of(connection), embedded
        self._clients: dict[str, Any] = {}
        self._admin: KafkaAdminClient | None = None
        self._running_then: tuple[int, ...] = ()
        self._open = True

    @property
    def connection(self) -> Connection:
        """How to connect. Brokers of the lab's own that all stopped may have come back at other ports."""
        return self.embedded.connection if self.embedded else self._connection

    @property
    def bootstrap(self) -> str:
        """The brokers' addresses, as clients take them: host:port[,host:port]."""
        return self.connection.bootstrap

    @property
    def security(self) -> dict[str, Any]:
        """What kafka-python's clients need besides the address: nothing, unless Kafka is secured."""
        settings = self.connection.kafka_python()
        return {name: value for name, value in settings.items() if name != "bootstrap_servers"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def config(self, kind: str, **settings: Any) -> dict[str, Any]:
        """Return the settings of a "producer", "consumer" or "admin": connection and timeouts, then `settings`."""
        return self.connection.kafka_python() | TIMEOUTS[kind] | settings

    def producer(self, *, name: str, **settings: Any) -> KafkaProducer:
        """Make a KafkaProducer with `client_id=name`. An earlier client of this name is closed first.

        With a `transactional_id`, a fenced one says so, and a commit without an answer ends after `max_block_ms`.
        """
        if settings.get("transactional_id"):
            settings = {"max_block_ms": 30_000} | settings  # before its first transaction a broker makes a topic
        return answers_in_time(stays_fenced(rest_when_idle(self._make("producer", name, **settings))))

    def consumer(self, *topics: str, name: str, **settings: Any) -> KafkaConsumer:
        """Make a KafkaConsumer of `topics` with `client_id=name`. An earlier client of this name is closed first."""
        consumer = repaired(self._make("consumer", name, *topics, **settings))
        with speaking(f"Could not ask for the topics {', '.join(topics)}."):
            if topics:
                ask_for_topics(consumer, *topics)
                if unknown := [topic for topic in topics if not consumer.partitions_for_topic(topic)]:
                    require_right_to_read(self.admin(), unknown)
        return consumer

    def admin(self) -> KafkaAdminClient:
        """Return the KafkaAdminClient of this cluster; the same one each time, until you close it.

        If one of several brokers of the lab's own has died or come back since, it is a new one: kafka-python 3.0.12
        goes on asking brokers that are gone, and never turns to its bootstrap addresses again.
        """
        running = self._running()
        if self._admin is not None and running != self._running_then:
            self._close("admin", self._admin)
        if self._admin is None or self._admin._closed:
            self._admin = await_coordinators(self._connect("admin", client_id="lab-admin"))
            self._running_then = running
        return self._admin

    def _running(self) -> tuple[int, ...]:
        """Which of several brokers run now; nothing for a single one, and for those of others."""
        brokers = self.embedded.brokers if self.embedded else []
        return tuple(each.number for each in brokers if each.state == "running") if len(brokers) > 1 else ()

    def ask(self, what: str, question: Callable[[KafkaAdminClient], T], seconds: float = 15) -> T:
        """Return what `question(admin)` answers; retry for `seconds` while its broker comes back or loads."""
        answers: list[T] = []

        def answered() -> bool:
            try:
                answers.append(question(self.admin()))
            except (KafkaConnectionError, NodeNotReadyError, BrokerResponseError) as error:
                nobody_else = isinstance(error, KafkaConnectionError) and not self._running()
                if nobody_else or not error.retriable:
                    raise
            return bool(answers)

        with speaking(f"Could not ask for {what}."):
            until(answered, seconds, what, next_step=DOWN)
        return answers[0]

    def _make(self, kind: str, name: str, *topics: str, **settings: Any) -> Any:
        self.close_client(name)
        client = self._connect(kind, *topics, **({"client_id": name} | settings))
        self._clients[name] = client
        return client

    def _connect(self, kind: str, *topics: str, **settings: Any) -> Any:
        if not self._open:
            raise LabError(
                f"Could not make a {kind}: this lesson was closed, because another one was opened in this kernel.",
                "",
                "run the first code cell of the lesson again",
            )
        # First, because a client that cannot connect retries for long and does not say why. It begins with those that
        # answer: kafka-python 3.0.12 gives a frozen one, if it draws that, all the time that it has.
        answering = reach(self.connection, next_step=DOWN if self.embedded else "")
        config = self.config(kind, **answering.kafka_python() | settings)
        with speaking(f"Could not make the {kind} at {self.bootstrap}."):
            return CLIENTS[kind](*topics, **config)

    def close_client(self, name: str) -> None:
        """Close the client of that name. Harmless if there is none; errors are logged, not raised."""
        if name in self._clients:
            self._close(name, self._clients.pop(name))

    def _close(self, name: str, client: Any) -> None:
        try:
            if isinstance(client, KafkaProducer):
                close(client, timeout=5)
            elif isinstance(client, KafkaConsumer):
                client.close(timeout_ms=5_000)
            else:
                client.close()
        except Exception as error:  # without its broker it may raise anything, and the others must still be closed
            log.warning("closing the client %r: %s: %s", name, type(error).__name__, error)

    def close(self) -> None:
        """Close every client made here; no more can be made."""
        self._open = False
        self.close_clients()

    def close_clients(self) -> None:
        """Close every client made here; the next one is made anew."""
        for name in list(self._clients):
            self.close_client(name)
        if self._admin is not None:
            self._close("admin", self._admin)
