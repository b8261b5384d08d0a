"""09-3: a dead letter holds the record unchanged, and is stored before the record is committed."""

from collections.abc import Sequence
from contextlib import closing

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.exercises.groups import fresh_group, reader
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission
from labsupport.delivery import dead_letter
from labsupport.errors import EventError
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.waiting import until

from .desk import LARGEST, Desk, described

Wire = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]  # key, value, headers

PLAIN: Wire = (b"ORD-123", b"not an event", [("event_type", b"OrderCreated"), ("trace", b"7")])
ODD: tuple[Wire, ...] = (
    (b"ORD-124", b"\xff\xfe", [("tag", b"1"), ("tag", b"2")]),
    (b"ORD-125", None, []),
    (None, b"{", [("trace", None)]),
    (None, None, []),
)
LARGE: Wire = (b"ORD-124", b"x" * (LARGEST - 100), [])


def _set_aside(answer: Submission, lab: Lab) -> str:
    """Plain and odd records of two partitions; clients that fail once; a topic that refuses a dead letter."""
    try:
        consumer, records = _in_hand(lab, [PLAIN, *ODD, PLAIN, PLAIN, PLAIN, PLAIN, LARGE, PLAIN], [PLAIN] * 3)
        desk = Desk(answer, lab, consumer)
        plain, odd, fails, refused = records[0], records[1:6], records[6:8], records[8:11]
        error, none = EventError("not JSON: Expecting value"), EventError("no value")
        desk.set_aside(plain, error, f"poll() returned {len(records)} records of two partitions; this is the first")
        large = RuntimeError("the database said: " + "x" * 2_000_000)
        for record, why in zip(odd, [EventError("no event"), none, KeyError("amount"), none, large], strict=True):
            desk.set_aside(record, why, f"the record: {described(record)}")
        desk.set_aside(records[11], error, "a record of partition 1")
        desk.fails("send", fails[0], error)
        desk.fails("commit", fails[1], error)
        desk.refused(refused, error)
    finally:
        lab.delete_topics([dead_letter.topic_of(lab.namespace + CHECKED)])
    return "Every dead letter holds its record unchanged, and only records whose dead letter was stored were committed."


def _in_hand(lab: Lab, first: Sequence[Wire], second: Sequence[Wire]) -> tuple[KafkaConsumer, list[ConsumerRecord]]:
    """A topic with these records in its two partitions, and a consumer that polled all of them.

    Its group is new. The records are in order, partition 0 first.
    """
    topic = lab.topic(CHECKED, partitions=2)
    wires = [(*wire, number) for number, part in enumerate((first, second)) for wire in part]
    with closing(ConfluentProducer(lab.connection)) as other:
        for sending in [other.send(topic, value, key, headers, number) for key, value, headers, number in wires]:
            sending.get(60)
    consumer = reader(lab, topic, fresh_group(lab, "letters"))
    records: list[ConsumerRecord] = []

    def all_there() -> bool:
        for polled in consumer.poll(timeout_ms=200).values():
            records.extend(polled)
        return len(records) == len(wires)

    until(all_there, 60, "the records to be set aside")
    return consumer, sorted(records, key=lambda record: (record.partition, record.offset))


EXERCISE = Exercise(
    id="09-3",
    title="Repair the publisher",
    difficulty="medium",
    minutes=14,
    call="bury(consumer, producer, record, error)",
    file="publisher.py",
    hints=(
        "In `careless`, which line commits what, and what is known about the dead letter at that moment?",
        "Three of the six faults lose something: the key, headers of the same name, and the group, which is "
        '`consumer.config["group_id"]`. The other three are `flush`, `finally` and `commit()`: why?',
        "Send key, value and headers, call `get(timeout=10)` on what `send` returns, then "
        "`consumer.commit(reading.after(record))`. No `try`: the error must come out.",
    ),
    explanation="The dead letter holds the record unchanged, and `encode` takes care of what this client cannot send. "
    "`get` waits for the acknowledgement and raises a refusal, which `flush` does not. The commit comes after it and "
    "covers this record only. If the broker refuses the dead letter, the error comes out, and the record is delivered "
    "again.",
    points_at=("letters", "ep-3"),
    judge=_set_aside,
    seconds=8.0,
)
