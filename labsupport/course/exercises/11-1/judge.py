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
    """A partition: its records' `times`, in seconds after 10:30:00; what its group has `committed`; where it begins."""

    times: tuple[float, ...]
    committed: int | None
    begin: int = 0

    def needed(self, incident: datetime) -> int:
        """The first offset that has to come again, or to come at all."""
        since = [offset for offset, seconds in enumerate(self.times) if _at(seconds) >= incident]
        undone = range(self.committed or 0, len(self.times))
        return max(self.begin, min([*since, *undone], default=len(self.times)))


PARTITIONS = (  # the plain ones first
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
FAILING = ("committed", "offsets_for_times", "beginning_offsets")  # what the consumer is asked for


def _go_back(answer: Submission, lab: Lab) -> str:
    """Two incidents; a group is set to what comes back, and reads: what it is handed is judged. Then a consumer fails.

    The partitions have other numbers at the second incident.
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
        f"{len(PARTITIONS)} partitions, {len(INCIDENTS)} incidents: nothing is skipped, and nothing comes for nothing."
    )


PLACES = "a dict from partition to offset"


def _plain_first(held: Sequence[Held]) -> list[int]:
    """The numbers of the partitions, those that show a mistake most simply first."""
    return sorted(range(len(held)), key=lambda number: PARTITIONS.index(held[number]))


def _topic(lab: Lab, held: Sequence[Held]) -> str:
    """A topic of these partitions."""
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
    """Kafka does not answer once: the error comes out, or it is asked again; no wrong place comes of it."""
    for method in FAILING:
        with failing_once(consumer, method, KafkaTimeoutError("Kafka did not answer in time")) as raised:
            out, came_back = came_out(answer, consumer, incident, returns=dict, asks=PLACES)
        if raised and not out and _places(came_back, held, answer, incident) != places:
            raise TryAgain(
                says=f"consumer.{method} raised an error, and your function returned other places.",
                given=f"go_back(consumer, {incident!r}); Kafka does not answer once: KafkaTimeoutError",
                came_back=f"{shown(came_back)}; due: {shown(places)}, or the error",
                rule="nobody would hear of it, and the group would be set to a place that nobody has found",
                look_at="which `except` keeps the error? Let it out",
            )


def _at(seconds: float) -> datetime:
    return story.OPENING + timedelta(seconds=seconds)


def _reader(lab: Lab, topic: str, group: str, name: str) -> KafkaConsumer:
    """A consumer of all partitions, with a group and without being its member."""
    consumer = lab.consumer(name=name, group_id=group, auto_offset_reset="latest", enable_auto_commit=False)
    consumer.assign([TopicPartition(topic, number) for number in range(len(PARTITIONS))])
    return consumer


def _places(came_back: dict, held: Sequence[Held], answer: Submission, incident: datetime) -> dict[int, int]:
    """What came back as offsets by partition. Raises TryAgain if it is something else."""
    given = answer.called("consumer", incident).replace("'consumer'", "consumer")
    places = {}
    for key, offset in came_back.items():
        number = key.partition if isinstance(key, TopicPartition) else key
        whole = all(isinstance(each, Integral) and not isinstance(each, bool) for each in (number, offset))
        if not whole or number not in range(len(held)) or offset < 0:
            raise TryAgain(
                says="That is no partition with an offset.",
                given=given,
                came_back=f"{shown(key)}: {shown(offset)}",
                look_at="the partition's number, and the offset as a whole number; what is found has one as .offset",
            )
        if offset > (end := len(held[number].times)):
            raise TryAgain(
                says=f"Partition {number} ends at offset {end}: it has no {offset}.",
                rule="an offset that the log does not have counts as none: auto_offset_reset decides then",
                look_at="the end is the offset that the next record will get; to go back is a smaller one",
            )
        places[int(number)] = int(offset)
    if missing := set(range(len(held))) - places.keys():
        raise TryAgain(
            says=f"There is no place for partition {', partition '.join(map(str, sorted(missing)))}.",
            given=given,
            came_back=shown(places),
            rule="each partition has a place, also where nothing changes",
            look_at="is there one for a partition in which nothing was found, and one where nothing is committed?",
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
    says = f"Partition {number}: it is handed {', '.join(map(str, handed)) or 'no record'}; "
    if len(handed) > len(times) - needed:
        says += f"from {needed} on was enough."
        rule = "what is older than the incident, and done, comes again for nothing"
        look_at = "offsets_for_times finds None where no record is late enough; it counts in milliseconds"
    elif places[number] < partition.begin:
        says += f"{needed} was never processed, and is skipped now."
        rule = f"the log begins at {partition.begin} and has no {places[number]}: `latest` goes to the end then"
        look_at = "consumer.beginning_offsets([place]): what if nothing is committed, or something before that?"
    elif committed is None or committed <= needed:
        says += f"{needed} was never processed, and is skipped now."
        rule = "a group that is set forward misses what lies in between"
        look_at = "which is smaller: what is committed, or what was found for the incident?"
    else:
        says += f"{needed} is not older than the incident, and does not come."
        rule = "what was processed wrongly is done only when it was handed out again"
        look_at = "which is smaller, what is committed or what is found? In which unit and time zone do you ask?"
    given = f"partition {number}: {held} (UTC)\ncommitted: {committed}; incident: {incident.isoformat()}"
    raise TryAgain(says=says, given=given, came_back=shown(places), rule=rule, look_at=look_at)


EXERCISE = Exercise(
    id="11-1",
    title="Back to the right place",
    difficulty="medium",
    minutes=6,
    call="go_back(consumer, incident)",
    hints=(
        "Which records have to come: those since the incident, those that are not committed, or both?",
        "`consumer.offsets_for_times({place: milliseconds})` finds the first record that is not older; `None` if "
        "there is none. `int(incident.timestamp() * 1000)` are the milliseconds.",
        "The smaller of what was found and what is committed; nothing found: what is committed. Nothing committed, "
        "or something before the log's beginning: that beginning, `consumer.beginning_offsets(places)[place]`.",
    ),
    explanation="A time is another offset in each partition. Where the group has not come as far as the incident, "
    "it stays where it is: to set it to the incident would skip what it has never processed. Where it has "
    "committed nothing, it begins where the log does, and that is not always 0: at an offset that the log does not "
    "have any more, `latest` would skip all of it.",
    judge=_go_back,
    seconds=6.0,
)
