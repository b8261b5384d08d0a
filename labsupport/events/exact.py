"""A producer that sends a record exactly as it is, also what kafka-python's refuses. Redrive uses it. Lesson 10.

It is another client, confluent-kafka, behind the same `send`: that one takes a record with neither key nor value, and
headers without a value.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError as Refusal
from confluent_kafka import KafkaException, Message, Producer
from kafka import errors
from kafka.future import Future

SETTINGS = {
    "acks": "all",
    "enable.idempotence": True,
    "partitioner": "murmur2_random",  # keys go to the same partitions as with kafka-python and Java
    "message.timeout.ms": 10_000,
    "allow.auto.create.topics": False,
    "log_level": 0,  # what goes wrong is raised, not printed
}
NO_SUCH_PLACE = (Refusal._UNKNOWN_TOPIC, Refusal._UNKNOWN_PARTITION)


class Stored(NamedTuple):
    """Where the broker has put a record."""

    topic: str
    partition: int
    offset: int


class ExactProducer:
    """Has the `send`, `flush` and `close` of a KafkaProducer. It opens its connections at the first record.

    `largest` is the size (bytes) of the largest record that it sends; `settings` are librdkafka's own.
    """

    def __init__(self, bootstrap: str, *, largest: int = 10 * 1_048_588, **settings: Any):
        own = {"bootstrap.servers": bootstrap, "message.max.bytes": largest}
        self._producer = Producer(SETTINGS | own | {name.replace("_", "."): value for name, value in settings.items()})

    def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes | None]] | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Future:
        """Send a record; `get(timeout)` of what comes back waits for its acknowledgement, and raises as kafka-python's.

        Without a partition the key decides.
        """
        answer = _Answer(self._producer)
        where = {} if partition is None else {"partition": partition}
        when = {} if timestamp_ms is None else {"timestamp": timestamp_ms}
        try:
            self._producer.produce(
                topic, value, key, headers=list(headers or ()), on_delivery=answer.told, **where, **when
            )
        except KafkaException as refused:
            answer.failure(_as_kafka_python_says(refused.args[0]))
        self._producer.poll(0)
        return answer

    def flush(self, timeout: float = 10.0) -> None:
        """Wait until every record is acknowledged, or given up. Raises KafkaTimeoutError after `timeout` seconds."""
        if left := self._producer.flush(timeout):
            raise errors.KafkaTimeoutError(f"Timeout after waiting for {timeout:g} s: {left} records are on their way")

    def close(self, timeout: float = 10.0) -> None:
        """As `flush`; nothing else needs to be closed."""
        self.flush(timeout)


class _Answer(Future):
    """What becomes of one record. The client tells it while somebody waits for an answer, or sends another record."""

    def __init__(self, producer: Producer):
        super().__init__()
        self.producer = producer

    def told(self, refused: Refusal | None, message: Message) -> None:
        if refused is None:
            self.success(Stored(message.topic(), message.partition(), message.offset()))
        else:
            self.failure(_as_kafka_python_says(refused))

    def get(self, timeout: float = 60.0) -> Stored:
        """Wait for the acknowledgement, `timeout` seconds at most."""
        end = time.monotonic() + timeout
        while not self.is_done and (left := end - time.monotonic()) > 0:
            self.producer.poll(min(left, 0.1))
        if not self.is_done:
            raise errors.KafkaTimeoutError(f"Timeout after waiting for {timeout:g} s")
        if self.exception is not None:
            raise self.exception
        return self.value


def _as_kafka_python_says(refused: Refusal) -> errors.KafkaError:
    """The same error in the words of the other client: a broker's by its number, librdkafka's own by what they mean."""
    if refused.code() > 0:
        return errors.for_code(refused.code())(refused.str())
    if refused.code() in NO_SUCH_PLACE:
        return errors.UnknownTopicOrPartitionError(refused.str())
    return errors.KafkaTimeoutError(refused.str())
