"""Groups for judges: a fresh one, what it has committed, a consumer for it, and records to read."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from labsupport.course.exercise import CHECKED
from labsupport.course.lab import Lab
from labsupport.delivery.reading import READS
from labsupport.errors import LabError


def fresh_group(lab: Lab, name: object, committed: Mapping[int, int] = MappingProxyType({}), topic: str = "") -> str:
    """The name of a group of the check's own without members; by partition of `topic`, what it has committed."""
    group = lab.group(f"{CHECKED}-{name}")
    lab.delete_groups([group])
    commit(lab, topic, group, committed)
    return group


def commit(lab: Lab, topic: str, group: str, offsets: Mapping[int, int]) -> None:
    """Commit these offsets, by partition, for a group without members. Raises LabError if the broker refuses one."""
    if not offsets:
        return
    targets = {TopicPartition(topic, number): OffsetAndMetadata(at, "", -1) for number, at in offsets.items()}
    answers = lab.ask(f"the committed offsets of {group}", lambda admin: _altered(admin, group, targets))
    if refused := {error.__name__ for error in answers.values()} - {"NoError"}:
        raise LabError(f"Could not commit for {group}.", ", ".join(refused), "check again")


def _altered(admin: KafkaAdminClient, group: str, targets: dict) -> dict:
    """The answers by partition; raises a retriable error, so that `ask` asks again."""
    answers = admin.alter_group_offsets(group, targets)
    for error in answers.values():
        if getattr(error, "retriable", False):
            raise error
    return answers


def send(lab: Lab, topic: str, counts: Collection[int]) -> None:
    """Send `counts[n]` records to partition n, in one batch; each has its offset as its value."""
    producer = lab.producer(name="check", max_block_ms=3_000, linger_ms=200)
    sent = [
        producer.send(topic, b"%d" % offset, partition=partition)
        for partition, count in enumerate(counts)
        for offset in range(count)
    ]
    producer.flush(timeout=60)
    for sending in sent:
        sending.get(timeout=60)


def reader(lab: Lab, topic: str, group: str) -> KafkaConsumer:
    """A consumer that is assigned all partitions of the topic and commits for `group` without joining it."""
    consumer = lab.consumer(name="check", group_id=group, **READS)
    consumer.assign([TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))])
    return consumer
