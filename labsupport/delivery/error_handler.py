"""Carries out the decision about a failed record: its partition waits, or it becomes a dead letter. Lesson 09.

To wait means: seek back to the record, pause its partition, and keep polling. So the member stays in its group, its
other partitions are processed, and nothing in the same partition overtakes the record.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from labsupport.delivery import dead_letter, reading
from labsupport.delivery.retry import Decision, Policy, decide
from labsupport.errors import DeadLetterError

ACKNOWLEDGED = 15.0  # seconds to wait for a dead letter's acknowledgement: longer than its producer tries


@dataclass(frozen=True)
class Wait:
    """A partition waits at `offset` for its next attempt, after `attempts` attempts.

    `since` (the first failure) and `until` are seconds of the monotonic clock.
    """

    offset: int
    attempts: int
    since: float
    until: float


class ErrorHandler:
    """Handles the errors of one worker: `Worker(consumer, handle, error_handler=ErrorHandler(producer))`.

    `producer` writes dead letters to the topic that `dead_letter.topic_of` names, which must exist. It needs
    `dead_letter.producer_settings()`, and its owner closes it. Attempts are counted in this process: after a restart,
    or when the partition goes to another member, the count starts again.
    """

    def __init__(self, producer: KafkaProducer, policy: Policy | None = None):
        self.producer, self.policy = producer, policy or Policy()
        self._waits: dict[TopicPartition, Wait] = {}

    def decide(self, record: ConsumerRecord, error: Exception) -> tuple[Decision, int]:
        """Decide about a record that has just failed; returns the decision and the number of attempts."""
        partition, now = TopicPartition(record.topic, record.partition), time.monotonic()
        earlier = self._waits.get(partition)
        if earlier is None or earlier.offset != record.offset:
            earlier = Wait(record.offset, 0, now, now)
        attempts = earlier.attempts + 1
        name = f"{record.topic}/{record.partition}/{record.offset}"
        decision = decide(attempts, now - earlier.since, error, self.policy, name)
        self._waits[partition] = Wait(record.offset, attempts, earlier.since, now + decision.seconds)
        return decision, attempts

    def wait(self, consumer: KafkaConsumer, record: ConsumerRecord) -> None:
        """Seek back to the record, and fetch nothing from its partition until its wait is over."""
        partition = TopicPartition(record.topic, record.partition)
        try:
            consumer.seek(partition, record.offset)
            reading.pause(consumer, partition, self._waits[partition].until)
        except (ValueError, KeyError):  # the partition has just gone to another member
            self.gone([partition])

    def resume(self, consumer: KafkaConsumer) -> None:
        """Resume the partitions whose wait is over, and those that no longer wait.

        A partition that a rebalance returns to the same member is still paused.
        """
        waiting = {partition for partition, wait in list(self._waits.items()) if wait.until > time.monotonic()}
        reading.resume(consumer, consumer.paused() - waiting)

    def done(self, partition: TopicPartition) -> None:
        """The partition's record is processed or dead-lettered, so the partition no longer waits."""
        self._waits.pop(partition, None)

    def gone(self, partitions: Iterable[TopicPartition]) -> None:
        """These partitions went to other members, which count their own attempts."""
        for partition in partitions:
            self._waits.pop(partition, None)

    def send_to_dead_letter(self, record: ConsumerRecord, error: Exception, attempts: int, group: str) -> None:
        """Write the record's dead letter and wait for its acknowledgement.

        It goes into the partition of the same number, if there is one. Raises DeadLetterError if it was refused, or not
        acknowledged in time; in the latter case it may be stored, and the record may get a second dead letter later.
        """
        letter = dead_letter.wrap(record, error, attempts, group)
        topic = dead_letter.topic_of(record.topic)
        key, value, headers = letter.encode()
        try:
            partition = record.partition % len(self.producer.partitions_for(topic))
            sending = self.producer.send(topic, value, key, headers, partition)
            sending.get(timeout=ACKNOWLEDGED)
        except (KafkaError, ValueError) as refused:
            raise DeadLetterError(
                f"Could not write the dead letter of {record.topic}/{record.partition}/{record.offset} to {topic}.",
                f"{type(refused).__name__}: {refused}\nit is the dead letter of {letter.error}: {letter.message}",
                f"the record is not committed, so nothing is lost: is there a topic {topic}, and does it take\n"
                "records of this size? Then start the worker again, with a new producer",
            ) from refused
