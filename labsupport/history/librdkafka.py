"""A producer that sends records which kafka-python refuses. Redrive uses it. Lesson 10.

It wraps another client, confluent-kafka (librdkafka), behind the same `send`. That client sends records with
neither key nor value, and headers without a value.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError as Refusal
from confluent_kafka import KafkaException, Message, Producer
from kafka import errors
from kafka.future import Future

from labsupport.connection import Connection

SETTINGS = {
    "acks": "all",
    "enable.idempotence": True,
    "partitioner": "murmur2_random",  # keys go to the same partitions as with kafka-python and Java
    "message.timeout.ms": 10_000,
    "topic.metadata.propagation.max.ms": 5_000,  # must be shorter: otherwise a missing topic becomes a timeout
    "allow.auto.create.topics": False,
    "log_level": 0,  # errors are raised, not printed
}
FULL = 10.0  # seconds to wait for room in a full queue
# librdkafka's own errors as kafka-python's. Any other error means that the record was not sent: NotSentError.
KINDS: dict[int, type[errors.KafkaError]] = {
    Refusal._UNKNOWN_TOPIC: errors.UnknownTopicOrPartitionError,
    Refusal._UNKNOWN_PARTITION: errors.UnknownTopicOrPartitionError,
    Refusal._AUTHENTICATION: errors.SaslAuthenticationFailedError,
    Refusal._FENCED: errors.ProducerFencedError,
    Refusal._MSG_TIMED_OUT: errors.KafkaTimeoutError,
    Refusal._TIMED_OUT: errors.KafkaTimeoutError,
    Refusal._TIMED_OUT_QUEUE: errors.KafkaTimeoutError,
    Refusal._TRANSPORT: errors.KafkaConnectionError,
    Refusal._ALL_BROKERS_DOWN: errors.KafkaConnectionError,
    Refusal._PURGE_INFLIGHT: errors.Cancelled,
    Refusal._GAPLESS_GUARANTEE: errors.Cancelled,
}
# Errors that keep a client from reaching any broker. The records then wait and fail with a timeout that does not name
# the cause.
UNHEARD = (Refusal._SSL, Refusal._AUTHENTICATION, Refusal._RESOLVE, Refusal._FATAL, Refusal._UNSUPPORTED_FEATURE)


class NotSentError(errors.KafkaError):
    """The client could not send a record, so it is not stored; the message says why."""


class Stored(NamedTuple):
    """The coordinates of a stored record."""

    topic: str
    partition: int
    offset: int


class ConfluentProducer:
    """Has the `send`, `flush` and `close` of a KafkaProducer, and connects when the first record is sent.

    `connection` may be an address (plain text). `largest` is the size (bytes) of the largest record that it sends.
    `settings` are librdkafka's.
    """

    def __init__(self, connection: Connection | str, *, largest: int = 10 * 1_048_588, **settings: Any):
        own = Connection.of(connection).confluent_kafka() | {"message.max.bytes": largest}
        given = {name.replace("_", "."): value for name, value in settings.items()}
        self._spoken = False  # whether a broker has answered
        self._unheard: Refusal | None = None
        self._producer = Producer(SETTINGS | own | given | {"error_cb": self._heard})

    def _heard(self, error: Refusal) -> None:
        if error.code() in UNHEARD or "in state SSL_HANDSHAKE" in error.str():
            self._unheard = error

    def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes | None]] | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Future:
        """Send a record; without a partition the key decides.

        `get(timeout)` of the returned future waits for the acknowledgement and raises kafka-python's errors.
        """
        answer = _Answer(self._producer, self._as_kafka_python_says)
        where = {} if partition is None else {"partition": partition}
        when = {} if timestamp_ms is None else {"timestamp": timestamp_ms}
        more: dict[str, Any] = {"headers": list(headers or ()), "on_delivery": answer.told} | where | when
        end = time.monotonic() + FULL
        try:
            while True:
                try:
                    self._producer.produce(topic, value, key, **more)
                    break
                except BufferError:  # the queue is full: wait until some records have left it
                    if time.monotonic() > end:
                        answer.failure(NotSentError(f"the client's queue stayed full for {FULL:g} s"))
                        break
                    self._producer.poll(0.1)
        except KafkaException as refused:
            answer.failure(self._as_kafka_python_says(refused.args[0]))
        self._producer.poll(0)
        return answer

    def _as_kafka_python_says(self, refused: Refusal | None) -> errors.KafkaError | None:
        """The error as kafka-python's: a broker's error by its number, librdkafka's own by its meaning.

        A timeout stays one only if a broker has answered before, or no cause is known. None if there is no error.
        """
        if refused is None or refused.code() > 0:
            self._spoken = True
            return refused and errors.for_code(refused.code())(refused.str())
        if refused.code() == Refusal._MSG_TIMED_OUT and self._unheard and not self._spoken:
            return {Refusal._AUTHENTICATION: errors.SaslAuthenticationFailedError}.get(
                self._unheard.code(), NotSentError
            )(self._unheard.str())
        return KINDS.get(refused.code(), NotSentError)(refused.str())

    def flush(self, timeout: float = 10.0) -> None:
        """Wait until every record is acknowledged or has failed. Raises KafkaTimeoutError after `timeout` seconds."""
        if left := self._producer.flush(timeout):
            raise errors.KafkaTimeoutError(f"Timeout after waiting for {timeout:g} s: {left} records are on their way")

    def close(self, timeout: float = 10.0) -> None:
        """Flush. Nothing else needs to be closed."""
        self.flush(timeout)


class _Answer(Future):
    """The outcome of one record. librdkafka reports it while somebody waits for one, or sends another record."""

    def __init__(self, producer: Producer, says: Callable[[Refusal | None], errors.KafkaError | None]):
        super().__init__()
        self.producer, self.says = producer, says

    def told(self, refused: Refusal | None, message: Message) -> None:
        if error := self.says(refused):
            self.failure(error)
        else:
            stored = message.topic(), message.partition(), message.offset()
            self.success(Stored(*stored))  # type: ignore[arg-type]  # None only in a message that has an error

    def get(self, timeout: float = 60.0) -> Stored:
        """Wait for the acknowledgement, for at most `timeout` seconds."""
        end = time.monotonic() + timeout
        while not self.is_done and (left := end - time.monotonic()) > 0:
            self.producer.poll(min(left, 0.1))
        if not self.is_done:
            raise errors.KafkaTimeoutError(f"Timeout after waiting for {timeout:g} s")
        if self.exception is not None:
            raise self.exception
        return self.value
