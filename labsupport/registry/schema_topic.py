"""The topic that holds the registry: one partition, compacted. A thread applies it; a write waits until it is applied.

So a registry that was killed comes back with all subjects and ids, and one that has answered a write shows it in the
next answer. There is no leader election: of two registries on one topic at the same time, both could give out an id.
"""

import contextlib
import json
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import MessageSizeTooLargeError

from labsupport.errors import RegistryError
from labsupport.kafka_fixes import repaired
from labsupport.registry.subjects import Subjects

NOOP = {"keytype": "NOOP", "magic": 0}
SECONDS = 5  # for a write to be stored, and to be read again

T = TypeVar("T")


class SchemaTopic:
    """The registry's state, kept up to date by a thread; `change` writes to it."""

    def __init__(self, topic: str, producer: KafkaProducer, consumer: KafkaConsumer):
        """The producer acknowledges by all replicas; the consumer has no group. Both are closed by `close`."""
        self._partition = TopicPartition(topic, 0)
        self._producer, self._consumer = producer, repaired(consumer)
        self._subjects = Subjects()
        self._position = 0
        self._certain = True  # whether it is known what became of the last write
        self._applied = threading.Condition()
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._consumer.assign([self._partition])
        self._consumer.seek_to_beginning()
        (end,) = self._consumer.end_offsets([self._partition]).values()
        while self._position < end:
            self._poll()
        self._thread = threading.Thread(target=self._follow, name="registry", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def state(self) -> Iterator[Subjects]:
        """The state, which does not change in the body of the `with`."""
        with self._applied:
            yield self._subjects

    def change(self, decide: Callable[[Subjects], tuple[T, list[tuple[dict[str, Any], Any]]]]) -> T:
        """Let `decide(state)` return an answer and the records to write; return the answer when they are applied.

        One change at a time, so that two equal requests get one id. Raises RegistryError if Kafka does not store the
        records, or has not handed them out again, within five seconds.

        Then they may be in the topic all the same. So the next change first writes a record without a meaning
        (Confluent's NOOP): when that is applied, all that was written before it is too.
        """
        with self._writing:
            if not self._certain:
                self._write([(NOOP, None)])
            with self.state() as subjects:
                answer, records = decide(subjects)
            if records:
                self._write(records)
        return answer

    def close(self) -> None:
        """Stop the thread, and close both clients."""
        self._closing.set()
        self._thread.join(SECONDS)
        self._consumer.close(timeout_ms=1_000)
        self._producer.close(timeout=1)

    def _write(self, records: list[tuple[dict[str, Any], Any]]) -> None:
        """Write the records, and wait until they are applied."""
        self._certain = False
        try:
            topic = self._partition.topic
            sent = [
                self._producer.send(topic, key=_bytes(key), value=None if value is None else _bytes(value), partition=0)
                for key, value in records
            ]
            offset = [each.get(timeout=2 * SECONDS) for each in sent][-1].offset
        except MessageSizeTooLargeError as error:
            raise RegistryError(422, 42209, "Register operation failed because schema is too large") from error
        except Exception as error:  # whatever the client raises, the caller gets Confluent's answer
            raise RegistryError(500, 50001, f"Error while writing to Kafka: {type(error).__name__}: {error}") from error
        with self._applied:
            if not self._applied.wait_for(lambda: self._position > offset, SECONDS):
                raise RegistryError(500, 50002, "Kafka has stored the record, and does not hand it out")
        self._certain = True

    def _follow(self) -> None:
        try:
            while not self._closing.is_set():
                self._poll()
        except BaseException:  # a registry that no longer reads would answer with an old state
            traceback.print_exc()
            os._exit(1)

    def _poll(self) -> None:
        polled = self._consumer.poll(timeout_ms=100).get(self._partition, [])
        position = self._consumer.position(self._partition, timeout_ms=1_000)  # asks Kafka, so outside of the lock
        with self._applied:
            for record in polled:
                self._subjects.apply(record.key, record.value)
            self._position = position or self._position
            self._applied.notify_all()


def _bytes(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
