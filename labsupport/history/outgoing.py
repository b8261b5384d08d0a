"""Records on their way to a topic: through a window, each answered for. Replay and redrive send through it."""

import contextlib
import time
from dataclasses import dataclass

from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.delivery.publish import require_window
from labsupport.errors import LabError
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.history.replay_report import ReplayCounter, coordinates_of, is_refusal

ACKNOWLEDGED = 60.0  # seconds that an acknowledgement is waited for


class Skip(Exception):  # noqa: N818 - no error, but what a function says about a record
    """Raised by `decode` or `to`: this record is not to be handled or sent. It is counted by `reason`."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(detail or reason)
        self.reason = reason


@dataclass(frozen=True)
class Outgoing:
    """A record on its way out. `timestamp` in milliseconds since 1970, or None for the time of sending.

    Without a `partition` the key decides.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int | None = None
    partition: int | None = None


class Sender:
    """Sends records and notes in `counter` what became of each; at most `in_flight` are on their way at once."""

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
                raise LabError(f"There is no topic {topic!r} to send to.", "", "is its name right, and was it made?")
            self._topics.add(topic)

    def check(self, out: Outgoing) -> None:
        """Raise Skip for what this producer cannot send, LabError if there is no such topic."""
        self.require_topic(out.topic)
        if isinstance(self.producer, KafkaProducer):
            if out.key is None and out.value is None:
                raise Skip("this client cannot send it", "neither key nor value")
            if nameless := [name for name, value in out.headers if value is None]:
                raise Skip("this client cannot send it", f"the header {nameless[0]!r} has no value")

    def send(self, record: ConsumerRecord, out: Outgoing) -> None:
        """Send what was made of this record. Raises as `finish`, for an earlier one."""
        if len(self.counter.waiting) >= self.in_flight:
            self._settle()
        sending = self.producer.send(out.topic, out.value, out.key, list(out.headers), out.partition, out.timestamp)
        self.counter.waiting.append((record, sending))

    def finish(self) -> None:
        """Wait for all answers. Raises the client's error for the first record that was not acknowledged."""
        while self.counter.waiting:
            self._settle()

    def _settle(self) -> None:
        record, sending = self.counter.waiting[0]
        try:
            sending.get(timeout=ACKNOWLEDGED)
        except Exception as error:
            if is_refusal(error):  # then Kafka answers: what became of the others can be known, too
                self._hear_the_others()
            error.add_note(f"the first record that was not acknowledged: {coordinates_of(record)}")
            raise
        self.counter.waiting.popleft()
        self.counter.done += 1

    def _hear_the_others(self) -> None:
        end = time.monotonic() + ACKNOWLEDGED
        for _, sending in self.counter.waiting:
            with contextlib.suppress(Exception):
                sending.get(timeout=max(0.0, end - time.monotonic()))
