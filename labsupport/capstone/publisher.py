"""Publish records as quickly as wished, each acknowledged by all replicas in sync."""

import time
from collections.abc import Iterable
from itertools import islice

from confluent_kafka import KafkaError, KafkaException, Producer

from labsupport.capstone.telling import Record
from labsupport.connection import Connection
from labsupport.console import counted
from labsupport.errors import LabError
from labsupport.settings import Settings

SETTINGS = {
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 5,
    "partitioner": "murmur2_random",  # as Java's client and kafka-python do: a key has one partition for all
    "queue.buffering.max.messages": 200_000,
    "message.timeout.ms": 300_000,  # brokers die meanwhile, and come back
    "log_level": 0,
}

FEW, PAUSE = 4, 0.004  # records, and seconds between them, that keep a reader at work


class Publisher:
    """Sends records in order, and counts what was acknowledged. Use it as a context manager."""

    def __init__(self, connection: Connection | str, topic: str):
        self.topic, self.acknowledged = topic, 0
        if isinstance(connection, str):
            connection = Settings.from_environment().connection_to(connection)
        self._producer = Producer(connection.confluent_kafka() | SETTINGS)
        self._error = ""

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._producer.purge()
        self._producer.flush(5)

    def send(self, records: Iterable[Record], speed: float = 0.0) -> None:
        """Send these, and return when all are acknowledged. Raises LabError for the first that was refused.

        With `speed`, a second of the records' time takes 1 / `speed` seconds; without, it takes as long as it takes.
        """
        iterator, sent = iter(records), 0
        begun, first = time.monotonic(), None
        while some := list(islice(iterator, 1000 if not speed else 1)):
            if speed:
                first = some[0].time if first is None else first
                self._producer.flush(0)
                time.sleep(max(0.0, begun + (some[0].time - first) / speed - time.monotonic()))
            for record in some:
                self._put(record)
            sent += len(some)
        left = self._producer.flush(300)
        if self._error or left:
            raise LabError(
                "Could not publish all flights.",
                self._error or f"{counted(left, 'record')} of {sent:,} not acknowledged within 300 s",
                "does Kafka run? python3 lab.py status",
            )

    def trickle(self, records: Iterable[Record]) -> None:
        """Send these a few at a time: a reader gets them in small batches. Return when all are acknowledged."""
        for number, record in enumerate(records):
            self._put(record)
            if number % FEW == 0:
                self._producer.poll(PAUSE)
        self.send([])

    def _put(self, record: Record) -> None:
        while True:
            try:
                self._producer.produce(self.topic, record.value, record.key, on_delivery=self._delivered)
                self._producer.poll(0)
                return
            except BufferError:  # the buffer is full: wait for acknowledgements
                self._producer.poll(0.1)

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self._error = self._error or str(KafkaException(error))
