"""Sends records through a window and counts what became of each. Replay and redrive send this way."""

import contextlib
import time
from dataclasses import dataclass

from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.delivery.publish import require_window
from labsupport.errors import LabError
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.history.replay_report import ReplayCounter, coordinates_of, is_refusal

ACKNOWLEDGED = 60.0  # seconds to wait for an acknowledgement


class Skip(Exception):  # noqa: N818 - a function's decision about a record, not an error
    """Raised by `decode` or `to` to skip this record. The report counts skipped records by `reason`."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(detail or reason)
        self.reason = reason


@dataclass(frozen=True)
class Outgoing:
    """A record to send. `timestamp` is in milliseconds since 1970; None means the time of sending.

    Without a `partition` the key decides.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int | None = None
    partition: int | None = None


class Sender:
    """Sends records and counts what became of each. At most `in_flight` are on their way."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        producer: KafkaProducer | ConfluentProducer,
        counter: ReplayCounter,
        in_flight: int = 1_000,
    ):
        require_window(in_flight)
        self.consumer, self.producer, self.counter, self.in_flight = consumer, producer, counter, in_flight
        self._topics: set[str] = set()

    def require_topic(self, topic: str) -> None:
        """Raise LabError if there is no such topic."""
        if topic not in self._topics:
            if not self.consumer.partitions_for_topic(topic):
                raise LabError(f"There is no topic {topic!r} to send to.", "", "is its name right, and was it created?")
            self._topics.add(topic)

    def check(self, out: Outgoing) -> None:
        """Raise Skip if this producer cannot send the record, LabError if there is no such topic."""
        self.require_topic(out.topic)
        if isinstance(self.producer, KafkaProducer):
            if out.key is None and out.value is None:
                raise Skip("this client cannot send it", "neither key nor value")
            if nameless := [name for name, value in out.headers if value is None]:
                raise Skip("this client cannot send it", f"the header {nameless[0]!r} has no value")

    def send(self, record: ConsumerRecord, out: Outgoing) -> None:
        """Send `out`, which was made from `record`. Raises as `finish` does, for an earlier record."""
        if len(self.counter.waiting) >= self.in_flight:
            self._settle()
        sending = self.producer.send(out.topic, out.value, out.key, list(out.headers), out.partition, out.timestamp)
        self.counter.waiting.append((record, sending))

    def finish(self) -> None:
        """Wait for all acknowledgements. Raises the client's error for the first record without one."""
        while self.counter.waiting:
            self._settle()

    def _settle(self) -> None:
        record, sending = self.counter.waiting[0]
        try:
            sending.get(timeout=ACKNOWLEDGED)
        except Exception as error:
            if is_refusal(error):  # Kafka answers, so the outcome of the others can be known too
                self._await_the_others()
            error.add_note(f"the first record that was not acknowledged: {coordinates_of(record)}")
            raise
        self.counter.waiting.popleft()
        self.counter.done += 1

    def _await_the_others(self) -> None:
        end = time.monotonic() + ACKNOWLEDGED
        for _, sending in self.counter.waiting:
            with contextlib.suppress(Exception):
                sending.get(timeout=max(0.0, end - time.monotonic()))
