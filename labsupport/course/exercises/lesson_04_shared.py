"""What the judges of lesson 04 share."""

from typing import TYPE_CHECKING

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from labsupport.course.exercise import CHECKED

if TYPE_CHECKING:
    from labsupport.course.session import Lesson


def fresh_group(lab: "Lesson", number: object, committed: dict[int, int], topic: str) -> str:
    """The name of a new group of the check's, which has committed these offsets."""
    group = lab.group(f"{CHECKED}-{number}")
    lab.delete_groups([group])
    if committed:
        offsets = {TopicPartition(topic, number): OffsetAndMetadata(at, "", -1) for number, at in committed.items()}
        lab.admin().alter_group_offsets(group, offsets)
    return group


def reader(lab: "Lesson", topic: str, group: str) -> KafkaConsumer:
    """A consumer of all partitions of the topic that commits for `group`, without waiting to be let in."""
    settings = {"group_id": group, "auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = lab.consumer(name="check", **settings)
    consumer.assign([TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))])
    return consumer
