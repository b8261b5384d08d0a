"""14-1: lag and age are right in every partition of up to three offsets, and for what a real consumer gets next."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import TopicPartition

from labsupport.course.exercise import CHECKED, Exercise, through_kafka
from labsupport.course.exercises.groups import commit, fresh_group, reader
from labsupport.course.lab import Lab
from labsupport.course.plain_values import is_a
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.delivery.reading import to_the_end
from labsupport.delivery.record_time import milliseconds
from labsupport.experiments.watching.log import until_end
from labsupport.shop import story

NOW = milliseconds(story.OPENING, "the opening")
FAR = 1_000_000  # no partition is so large


@dataclass(frozen=True)
class Partition:
    """What was read of a partition. `ages` (s): of the records that its log holds, by offset."""

    begin: int
    end: int
    committed: int | None
    ages: Mapping[int, float]

    @property
    def place(self) -> int:
        """Where the group continues."""
        return self.begin if self.committed is None else max(self.begin, self.committed)

    @property
    def next(self) -> int | None:
        """The offset of the record that the group gets next."""
        return min((offset for offset in self.ages if self.place <= offset < self.end), default=None)

    @property
    def lag(self) -> int:
        """Offsets that the group has not committed."""
        return max(0, self.end - self.place)

    @property
    def age(self) -> float:
        """Of the record that the group gets next (s)."""
        return 0.0 if self.next is None else max(0.0, self.ages[self.next])


def _lag_and_age(answer: Submission, lab: Lab) -> str:
    """Plain partitions first, then every partition of up to three offsets, odd ones, and a real topic."""
    read = [*_plain(), *_small(), *_odd()]
    for partition in read:
        _judge(answer, partition)
    real = _real(answer, lab)
    return f"Right for {len(read)} partitions, and for {real} of a real topic: the group got that record next."


def _falling(begin: int, end: int, step: float = 10.0) -> dict[int, float]:
    """Ages of records from `begin` to `end`, the last one 7 s old."""
    return {offset: 7 + step * (end - 1 - offset) for offset in range(begin, end)}


def _plain() -> Iterator[Partition]:
    for committed in (3, 5, 0, None):
        yield Partition(0, 5, committed, _falling(0, 5))
    yield Partition(2, 5, 1, _falling(2, 5))


def _small() -> Iterator[Partition]:
    """Every partition that begins at 0, 1 or 2, and has up to three records."""
    for begin in range(3):
        for end in range(begin, begin + 4):
            for committed in (None, *range(end + 2)):
                yield Partition(begin, end, committed, _falling(begin, end, 1.25))


def _odd() -> Iterator[Partition]:
    """Gaps, an offset that is no record, a record from the future, times in no order, large offsets."""
    yield Partition(0, 6, 2, {0: 60.0, 1: 50.0, 4: 20.0, 5: 10.0})
    yield Partition(0, 3, 2, {0: 30.0, 1: 20.0})
    yield Partition(0, 4, 3, {0: 30.0, 1: 20.0, 2: 10.0, 3: -2.5})
    yield Partition(0, 4, 2, {0: 30.0, 1: 20.0, 2: -2.5, 3: 5.0})
    yield Partition(0, 4, 2, {0: 30.0, 1: 20.0, 2: 5.0, 3: 90.0})
    yield Partition(FAR, FAR + 4, FAR + 1, _falling(FAR, FAR + 4, 0.5))
    yield Partition(FAR, FAR + 4, FAR - 1, _falling(FAR, FAR + 4, 3600))


def _real(answer: Submission, lab: Lab) -> int:
    """Partitions of a topic; a transaction has left an offset that is no record. Judged by what a consumer gets."""
    counts, committed, deleted = (4, 4, 3, 0), {1: 1, 2: 3}, {1: 2}
    records = [
        {"value": b"", "partition": number, "timestamp_ms": NOW - 1_000 * (10 * (count - offset) + number)}
        for number, count in enumerate(counts)
        for offset in range(count)
    ]
    topic = through_kafka(lab, records, partitions=len(counts)).topic
    producer = lab.producer(name="check-transaction", transactional_id=lab.group(CHECKED))
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b"", partition=3, timestamp_ms=NOW - 9_500)
    producer.commit_transaction()
    until_end(lab, topic, {3: 2})
    lab.admin().delete_records({TopicPartition(topic, number): offset for number, offset in deleted.items()})
    group = fresh_group(lab, "lag", committed, topic)
    commit(lab, topic, group, {3: 1})
    log = lab.log(topic, group)
    handed: dict[int, int] = {}
    for record in to_the_end(reader(lab, topic, group)):
        handed.setdefault(record.partition, record.offset)
    for number in range(len(counts)):
        ages = {each.offset: (NOW - each.timestamp) / 1_000 for each in log.records if each.partition == number}
        partition = Partition(log.begins[number], log.ends[number], log.committed.get(number), ages)
        if partition.next != handed.get(number):
            raise RuntimeError(f"partition {number}: {partition}, but the consumer got {handed.get(number)}")
        _judge(answer, partition)
    return len(counts)


def _judge(answer: Submission, partition: Partition) -> None:
    begin, end, committed = partition.begin, partition.end, partition.committed
    times = {offset: round(NOW - 1_000 * age) for offset, age in partition.ages.items()}
    arguments = (begin, end, committed, times, NOW)
    came_back = answer(*arguments, returns=Collection, asks="a tuple: (lag, age)")
    shape = isinstance(came_back, tuple | list) and len(came_back) == 2
    if not shape or not all(is_a(each, float) for each in came_back):
        raise TryAgain(
            says="Your function did not return a lag and an age.",
            given=_told(partition),
            came_back=shown(came_back),
            look_at="return lag, age: two numbers",
        )
    lag, age = map(float, came_back)  # a subclass could compare equal to anything
    facts: dict[str, Any] = {"given": _told(partition), "came_back": "lag {}, age {} s".format(*map(shown, came_back))}
    if lag != partition.lag:
        rule = _rule_of_lag(partition)
        if (age, lag) == (partition.lag, partition.age):
            rule = {"rule": "those are the right numbers, in the wrong order", "look_at": "return lag, age"}
        raise TryAgain(says=f"{_why_lag(partition)}: the lag is {partition.lag}.", **facts, **rule)
    if not abs(age - partition.age) <= 1e-6:  # neither is true of NaN
        raise TryAgain(says=f"The age is {partition.age:g} s.", **facts, **_rule_of_age(partition, age))


def _told(partition: Partition) -> str:
    ages = ", ".join(f"{offset}: {age:g} s" for offset, age in partition.ages.items()) or "no record"
    log = f"begin {partition.begin}, end {partition.end}, committed {partition.committed}"
    return f"{log}\nages of the records, by offset: {ages}"


def _why_lag(partition: Partition) -> str:
    if partition.committed is None:
        return "Nothing is committed"
    if partition.committed < partition.begin:
        return f"The group has committed {partition.committed}, and the log begins at {partition.begin}"
    if partition.committed > partition.end:
        return f"The group has committed {partition.committed}, and the end was {partition.end}"
    return f"The group has committed {partition.committed}"


def _rule_of_lag(partition: Partition) -> dict[str, Any]:
    if partition.committed is None:
        rule = f"the group begins where the log begins, at {partition.begin}: everything waits"
        return {"rule": rule, "look_at": "what does your code do with None? It is neither 0 nor -1"}
    if partition.committed < partition.begin:
        return {"rule": "what was deleted cannot wait", "look_at": "which is larger, begin or committed?"}
    if partition.committed > partition.end:
        rule = "the end was read before the committed offset, and the group went on meanwhile"
        return {"rule": rule, "look_at": "max(0, …)"}
    rule = "committed is the next offset to read, and the end is the offset that the next record will get"
    if len(partition.ages) < partition.end - partition.begin:
        rule = "the lag counts offsets, whether or not they hold a record: Kafka knows only the offsets"
    return {"rule": rule, "look_at": "subtract the one from the other, and nothing else"}


def _rule_of_age(partition: Partition, age: float) -> dict[str, Any]:
    if partition.next is None:
        rule = "no record waits: there is none at an offset that the lag counts" if partition.lag else "nothing waits"
        return {"rule": f"{rule}, so nothing is old", "look_at": "is there a record from `committed` to `end`?"}
    if partition.age and abs(age - 1_000 * partition.age) < 1e-3:
        return {"rule": "that is in milliseconds", "look_at": "the timestamps and `now` are in ms, the age is in s"}
    whose = [offset for offset, each in partition.ages.items() if abs(each - age) < 1e-6 and offset != partition.next]
    if whose and whose[0] < partition.place:
        rule = f"yours is the age of offset {whose[0]}: that record is processed"
        return {"rule": rule, "look_at": f"which record does the group get next? It continues at {partition.place}"}
    if whose:
        rule = f"yours is the age of offset {whose[0]}, but the group gets offset {partition.next} next"
        return {"rule": rule, "look_at": "the lowest offset from `committed` on that is in `times`, whatever its time"}
    if partition.ages[partition.next] < 0:
        rule = "the record is dated after `now`, because two clocks differ: an age is never negative"
        return {"rule": rule, "look_at": "max(0, …)"}
    rule = f"the group gets offset {partition.next} next, and no record is as old as you say"
    return {"rule": rule, "look_at": "`now` minus the record's time, in s, with the fraction of a second"}


EXERCISE = Exercise(
    id="14-1",
    title="How much, and how old",
    difficulty="medium",
    minutes=7,
    call="lag_and_age(begin, end, committed, times, now)",
    hints=(
        "At which offset does the group continue if nothing is committed, or if the log begins later than that?",
        "From there to `end` is the lag, but at least 0. The age is that of the first record from there on; an offset "
        "need not be in `times`.",
        "`waiting = [offset for offset in times if place <= offset < end]`; then `min(waiting)`, if there is one.",
    ),
    explanation="Both numbers begin where the group would continue. Lag counts offsets, because that is all that a "
    "broker can tell without reading. Age needs one record, the next one. Both are read from outside, while the group "
    "goes on, so both are clamped at 0.",
    judge=_lag_and_age,
    seconds=3.0,
)
