"""11-1: a group reset to these offsets reads all that it must read, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from numbers import Integral

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError

from labsupport.course.exercise import Exercise, through_kafka
from labsupport.course.exercises.failing_clients import came_out, failing_once
from labsupport.course.exercises.groups import commit, fresh_group
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.delivery import reading
from labsupport.delivery.record_time import milliseconds
from labsupport.shop import story

FROM_UTC = timezone(timedelta(hours=2))
INCIDENTS = (
    story.OPENING + timedelta(seconds=20),
    (story.OPENING + timedelta(seconds=30.5)).astimezone(FROM_UTC),
)


@dataclass(frozen=True)
class Held:
    """A partition: `times` of its records (s after 10:30:00), the `committed` offset, and where its log begins."""

    times: tuple[float, ...]
    committed: int | None
    begin: int = 0

    def needed(self, incident: datetime) -> int:
        """The first offset that must be delivered, again or for the first time."""
        since = [offset for offset, seconds in enumerate(self.times) if _at(seconds) >= incident]
        undone = range(self.committed or 0, len(self.times))
        return max(self.begin, min([*since, *undone], default=len(self.times)))


PARTITIONS = (  # plain ones first
    Held((0, 10, 20, 30, 30.6), 5),
    Held((25, 35, 45), 3),
    Held((5, 15), 2),
    Held((1, 21, 31, 41), 1),
    Held((3, 4, 6), 1),
    Held((2, 22, 32), None),
    Held((0, 30, 10, 40), 4),
    Held((0, 30.2, 30.5, 31), 4),
    Held((), None),
    Held((19.999, 30.499), 2),
    Held((1, 2, 3, 4, 5), None, begin=3),
    Held((1, 2, 23, 33), 1, begin=2),
)
FAILING = ("committed", "offsets_for_times", "beginning_offsets")  # methods that fail once


def _go_back(answer: Submission, lab: Lab) -> str:
    """For two incidents, reset a group to the result and judge what it then reads. Then a consumer fails once.

    The partitions have different numbers for the second incident.
    """
    for incident, held in zip(INCIDENTS, (PARTITIONS, PARTITIONS[4:] + PARTITIONS[:4]), strict=True):
        topic = _topic(lab, held)
        committed = {number: each.committed for number, each in enumerate(held) if each.committed is not None}
        group = fresh_group(lab, f"{incident:%S}", committed, topic)
        consumer = _reader(lab, topic, group, "check-place")
        came_back = answer(consumer, incident, returns=dict, asks=PLACES)
        places = _places(came_back, held, answer, incident)
        commit(lab, topic, group, places)
        handed: dict[int, list[int]] = {number: [] for number in range(len(held))}
        for record in reading.to_the_end(_reader(lab, topic, group, "check")):
            handed[record.partition].append(record.offset)
        for number in _plain_first(held):
            _judge_place(number, held[number], handed[number], places, incident)
        _require_places_or_error(answer, consumer, incident, held, places)
    return (
        f"{len(PARTITIONS)} partitions, {len(INCIDENTS)} incidents: nothing is skipped, and nothing is read "
        f"again needlessly."
    )


PLACES = "a dict: partition → offset"


def _plain_first(held: Sequence[Held]) -> list[int]:
    """The partitions' numbers, those that show a mistake most simply first."""
    return sorted(range(len(held)), key=lambda number: PARTITIONS.index(held[number]))


def _topic(lab: Lab, held: Sequence[Held]) -> str:
    """The name of a topic with these partitions."""
    sent = [
        {"value": b"", "partition": number, "timestamp_ms": milliseconds(_at(seconds), "timestamp")}
        for number, each in enumerate(held)
        for seconds in each.times
    ]
    topic = through_kafka(lab, sent, partitions=len(held)).topic
    begins = {TopicPartition(topic, number): each.begin for number, each in enumerate(held) if each.begin}
    lab.admin().delete_records(begins)
    return topic


def _require_places_or_error(
    answer: Submission, consumer: KafkaConsumer, incident: datetime, held: Sequence[Held], places: dict[int, int]
) -> None:
    """Kafka fails to answer once for each question: require the error, or the right offsets after a retry."""
    for method in FAILING:
        silence = KafkaTimeoutError("Kafka did not answer in time")
        with failing_once(consumer, method, silence, each=True) as raised:
            out, came_back = came_out(answer, consumer, incident, returns=dict, asks=PLACES)
        if raised and not out and _places(came_back, held, answer, incident) != places:
            raise TryAgain(
                says=f"consumer.{method} raised an error, and your function returned wrong offsets.",
                given=f"go_back(consumer, {incident!r}); Kafka does not answer once: KafkaTimeoutError",
                came_back=f"{shown(came_back)}; expected: {shown(places)}, or the error",
                rule="nobody would notice, and the group would be reset to offsets that nobody looked up",
                look_at="which `except` swallows the error? Let it out",
            )


def _at(seconds: float) -> datetime:
    return story.OPENING + timedelta(seconds=seconds)


def _reader(lab: Lab, topic: str, group: str, name: str) -> KafkaConsumer:
    """A consumer of all partitions that belongs to `group` without joining it."""
    consumer = lab.consumer(name=name, group_id=group, auto_offset_reset="latest", enable_auto_commit=False)
    consumer.assign([TopicPartition(topic, number) for number in range(len(PARTITIONS))])
    return consumer


def _places(came_back: dict, held: Sequence[Held], answer: Submission, incident: datetime) -> dict[int, int]:
    """The result as offsets by partition. Raises TryAgain if it is anything else."""
    given = answer.called("consumer", incident).replace("'consumer'", "consumer")
    places = {}
    for key, offset in came_back.items():
        number = key.partition if isinstance(key, TopicPartition) else key
        whole = all(isinstance(each, Integral) and not isinstance(each, bool) for each in (number, offset))
        if not whole or number not in range(len(held)) or offset < 0:
            raise TryAgain(
                says="Your function returned an entry that is not a partition with an offset.",
                given=given,
                came_back=f"{shown(key)}: {shown(offset)}",
                look_at="use the partition's number, and the offset as an int; what offsets_for_times finds has "
                "an .offset",
            )
        if offset > (end := len(held[number].times)):
            raise TryAgain(
                says=f"Partition {number} ends at offset {end}: it has no offset {offset}.",
                rule="an offset outside the log counts as none, and auto_offset_reset decides",
                look_at="the end is the offset that the next record will get; going back needs a smaller one",
            )
        places[int(number)] = int(offset)
    if missing := set(range(len(held))) - places.keys():
        raise TryAgain(
            says=f"Your result has no offset for partition {', partition '.join(map(str, sorted(missing)))}.",
            given=given,
            came_back=shown(places),
            rule="each partition needs an offset, even if nothing changes",
            look_at="do you handle partitions in which nothing was found, or nothing is committed?",
        )
    return dict(sorted(places.items()))


def _judge_place(
    number: int, partition: Held, handed: Sequence[int], places: dict[int, int], incident: datetime
) -> None:
    times, committed = partition.times, partition.committed
    needed = partition.needed(incident)
    if [*handed] == [*range(needed, len(times))]:
        return
    held = "; ".join(f"{n}: {_at(times[n]):%H:%M:%S.%f}"[:-3] for n in range(partition.begin, len(times))) or "nothing"
    says = f"Partition {number}: the group reads {', '.join(map(str, handed)) or 'no record'}; "
    if len(handed) > len(times) - needed:
        says += f"offset {needed} is early enough."
        rule = "records that are older than the incident and processed are read again needlessly"
        look_at = "offsets_for_times gives None if no record is late enough; it takes milliseconds"
    elif places[number] < partition.begin:
        says += f"offset {needed} was never processed, and is skipped now."
        rule = f"the log begins at {partition.begin} and has no {places[number]}: `latest` then continues at the end"
        look_at = (
            "see consumer.beginning_offsets([partition]): what if nothing is committed, or an offset "
            "before the beginning?"
        )
    elif committed is None or committed <= needed:
        says += f"offset {needed} was never processed, and is skipped now."
        rule = "a group that is moved forward skips the records in between"
        look_at = "which is smaller: the committed offset, or the one found for the incident?"
    else:
        says += f"offset {needed} is not older than the incident, and is not read again."
        rule = "records that were processed wrongly must be read again"
        look_at = "which is smaller, the committed offset or the one found? In which unit and time zone do you ask?"
    given = f"partition {number}: {held} (UTC)\ncommitted: {committed}; incident: {incident.isoformat()}"
    raise TryAgain(says=says, given=given, came_back=shown(places), rule=rule, look_at=look_at)


EXERCISE = Exercise(
    id="11-1",
    title="Back to the right place",
    difficulty="medium",
    minutes=12,
    call="go_back(consumer, incident)",
    hints=(
        "Which records must the group read: those since the incident, those that are not committed, or both?",
        "`consumer.offsets_for_times({partition: milliseconds})` finds the first record that is not older, or "
        "`None`. `int(incident.timestamp() * 1000)` gives the milliseconds.",
        "Take the smaller of the found and the committed offset, or the committed one if nothing was found. If "
        "nothing is committed, or an offset before the log's beginning, use "
        "`consumer.beginning_offsets(partitions)[partition]` instead.",
    ),
    explanation="A time is a different offset in each partition. Where the group has not yet reached the "
    "incident, it stays where it is: moving it to the incident would skip records that it never processed. "
    "Where it has committed nothing, it begins where the log begins, which is not always 0: from an offset that "
    "the log no longer has, `latest` would skip everything.",
    judge=_go_back,
    seconds=6.0,
)
