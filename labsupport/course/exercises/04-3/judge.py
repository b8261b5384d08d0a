"""04-3: the function tells from the evidence why a real consumer gets nothing."""

from collections.abc import Iterator
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from labsupport.console import progress
from labsupport.course.exercise import CHECKED, Exercise, through_kafka
from labsupport.course.exercises.groups import fresh_group
from labsupport.course.exercises.members import joined
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.waiting import until


def _why(answer: Submission, lab: Lab) -> str:
    """Real consumers that get nothing, for various reasons; the function sees only the evidence."""
    for right, evidence in progress("Consumers that get nothing", 11, over=_silences(lab)):
        came_back = answer(evidence, returns=str, asks=f"one of {', '.join(REASONS)}")
        if came_back != right:
            raise TryAgain(
                says=f"The reason is {right!r} here.",
                given="\n".join(f"{name} = {value}" for name, value in evidence.items()),
                came_back=shown(came_back),
                rule=REASONS[right],
                look_at=LOOK_AT[right],
            )
    return "Right for real consumers that got nothing, for each of the reasons."


REASONS = {
    "no topic": "the topic does not exist",
    "others": "it has no partition, because other members of the group have them all",
    "empty": "the log holds no record",
    "all read": "the committed offset is the log's end: the group has read everything",
    "at the end": "no valid offset was committed, and the position is the end: auto_offset_reset is latest",
}


LOOK_AT = {
    "no topic": "what does `topic_exists` rule out first?",
    "others": "which partitions does it have? Look at `assigned` before the offsets",
    "empty": "what do `begin` and `end` mean together?",
    "all read": "compare `committed` with `end`",
    "at the end": "is `committed` an offset that the log holds, from `begin` to `end`?",
}


def _silences(lab: Lab) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each reason with the evidence of a consumer that got nothing; quick ones first."""
    yield "no topic", _evidence(lab, lab.namespace + "nowhere", fresh_group(lab, "why", {}, ""), "latest")
    topic = lab.topic(CHECKED)
    yield "empty", _evidence(lab, topic, fresh_group(lab, "why", {}, topic), "earliest")
    topic = _holding(lab, 9)
    yield "all read", _evidence(lab, topic, fresh_group(lab, "why", {0: 9}, topic), "earliest")
    yield "at the end", _evidence(lab, topic, fresh_group(lab, "why", {}, topic), "latest")
    yield "at the end", _evidence(lab, topic, fresh_group(lab, "why", {0: 99}, topic), "latest")
    lab.admin().delete_records({TopicPartition(topic, 0): 6})
    yield "at the end", _evidence(lab, topic, fresh_group(lab, "why", {0: 3}, topic), "latest")
    yield "all read", _evidence(lab, topic, fresh_group(lab, "why", {0: 9}, topic), "latest")
    yield "others", _evidence(lab, topic, fresh_group(lab, "why", {0: 9}, topic), "latest", other="A")
    lab.admin().delete_records({TopicPartition(topic, 0): 9})
    yield "empty", _evidence(lab, topic, fresh_group(lab, "why", {0: 2}, topic), "earliest")
    topic = _holding(lab, 5, partitions=2)
    yield "all read", _evidence(lab, topic, fresh_group(lab, "why", {0: 5}, topic), "earliest", other="D")
    topic = _holding(lab, 12)
    yield "at the end", _evidence(lab, topic, fresh_group(lab, "why", {0: 13}, topic), "latest")


def _holding(lab: Lab, count: int, partitions: int = 1) -> str:
    """The name of a topic with `count` records in partition 0."""
    return through_kafka(lab, ({"value": b"x", "partition": 0} for _ in range(count)), partitions=partitions).topic


def _evidence(lab: Lab, topic: str, group: str, reset: str, other: str = "") -> dict[str, Any]:
    """What is known of consumer C in that group after it got nothing; `other` names a second member."""
    exists = topic in lab.topics(topic)
    names = [*filter(None, [other]), "C"]
    with joined(lab, topic, group, names, auto_offset_reset=reset) as consumers:
        if exists and not other:
            _settle(consumers[-1], topic)
        assigned = sorted(place.partition for place in consumers[-1].assignment())
        places = lab.lag(topic, group, consumers[-1]).partitions if exists else [None]
        offsets = {name: getattr(places[0], name, None) for name in ("begin", "position", "committed", "end")}
        return {"topic_exists": exists, "assigned": assigned, "members": len(consumers)} | offsets


def _settle(consumer: KafkaConsumer, topic: str) -> None:
    """Poll until the position is the end: the first fetch response reveals an offset out of range."""
    place = TopicPartition(topic, 0)
    end = consumer.end_offsets([place])[place]
    until(
        lambda: not consumer.poll(timeout_ms=50) and consumer.position(place) == end, 60, "its position to be the end"
    )


EXERCISE = Exercise(
    id="04-3",
    title="My consumer gets nothing",
    difficulty="medium",
    minutes=8,
    call="why_nothing(evidence)",
    hints=(
        "Which of the five reasons can you tell without any offset?",
        "Then compare `begin` with `end`; then `committed` with `end`.",
        "What is left has nothing committed, or an offset that is gone, and its position is the end all the same.",
    ),
    explanation="First check what needs no offsets: does the topic exist, and does the consumer have a "
    "partition? Then the offsets tell an empty log from a group that has read everything and from a position at "
    "the end without a valid committed offset.",
    judge=_why,
    seconds=4.0,
)
