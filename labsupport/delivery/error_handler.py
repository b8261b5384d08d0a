"""What a worker does about a record that failed: its partition waits, or a dead letter is written. Lesson 09.

To wait means: go back to the record, pause its partition, and keep polling. So the member stays in its group, and its
other partitions are worked on; nothing behind the record in its own partition overtakes it.
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

ACKNOWLEDGED = 15.0  # seconds that a dead letter's acknowledgement is waited for: longer than its producer tries


@dataclass(frozen=True)
class Wait:
    """A partition that waits for its next attempt: at which record, after how many attempts, since and until when.

    `since` and `until` are seconds of the monotonic clock.
    """

    offset: int
    attempts: int
    since: float
    until: float


class ErrorHandler:
    """What one worker does about its failures: `Worker(consumer, handle, error_handler=ErrorHandler(producer))`.

    `producer` writes the dead letters, to the topic that `dead_letter.topic_of` names, which must be there; it needs
    `dead_letter.producer_settings()`, and whoever made it closes it. Attempts are counted in this process: if it is
    started again, or the partition goes to another member, they begin anew.
    """

    def __init__(self, producer: KafkaProducer, policy: Policy | None = None):
        self.producer, self.policy = producer, policy or Policy()
        self._waits: dict[TopicPartition, Wait] = {}

    def decide(self, record: ConsumerRecord, error: Exception) -> tuple[Decision, int]:
        """What to do about a record that failed just now, and how many attempts that were."""
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
        """Go back to the record, and fetch nothing from its partition until its wait is over."""
        partition = TopicPartition(record.topic, record.partition)
        try:
            consumer.seek(partition, record.offset)
            reading.pause(consumer, partition, self._waits[partition].until)
        except (ValueError, KeyError):  # the partition has just gone to another member
            self.gone([partition])

    def resume(self, consumer: KafkaConsumer) -> None:
        """Fetch again from the partitions whose wait is over.

        And from those that do not wait any more: a rebalance that gives a partition back to the same member leaves it
        paused.
        """
        waiting = {partition for partition, wait in list(self._waits.items()) if wait.until > time.monotonic()}
        reading.resume(consumer, consumer.paused() - waiting)

    def done(self, partition: TopicPartition) -> None:
        """The record that this partition was at is processed, or dead-lettered: nothing waits for it."""
        self._waits.pop(partition, None)

    def gone(self, partitions: Iterable[TopicPartition]) -> None:
        """These partitions went to other members, which count for themselves."""
        for partition in partitions:
            self._waits.pop(partition, None)

    def send_to_dead_letter(self, record: ConsumerRecord, error: Exception, attempts: int, group: str) -> None:
        """Write the record's dead letter and wait until it is acknowledged.

        It goes into the partition of the same number, if there is one. Raises DeadLetterError if it was refused, or not
        acknowledged in time: then it may be there or not, and the same record may get a second one later.
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
