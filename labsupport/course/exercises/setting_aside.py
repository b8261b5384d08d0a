"""Exercise 09-3: a publisher of dead letters, on two partitions, with clients that fail and a topic that refuses."""

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError

from labsupport.course.exercise import CHECKED
from labsupport.course.exercises.failing_clients import Noted, came_out, failing_once
from labsupport.course.submission import Failed, Submission, TryAgain, shown
from labsupport.delivery import dead_letter
from labsupport.errors import EventError, NotADeadLetterError
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.waiting import until

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

Wire = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]  # key, value, headers

PLAIN: Wire = (b"ORD-123", b"not an event", [("event_type", b"OrderCreated"), ("trace", b"7")])
ODD: tuple[Wire, ...] = (
    (b"ORD-124", b"\xff\xfe", [("tag", b"1"), ("tag", b"2")]),
    (b"ORD-125", None, []),
    (None, b"{", [("trace", None)]),
    (None, None, []),
)
LARGEST = 2_000  # bytes in a record of the dead letter topic that is too small
LARGE: Wire = (b"ORD-124", b"x" * (LARGEST - 100), [])


def set_aside(answer: Submission, lab: "Lesson") -> str:
    """Records of two partitions in hand; odd ones; clients that fail once; then a topic that refuses a dead letter."""
    try:
        consumer, records = _in_hand(lab, [PLAIN, *ODD, PLAIN, PLAIN, PLAIN, PLAIN, LARGE, PLAIN], [PLAIN] * 3)
        desk = Desk(answer, lab, consumer)
        plain, odd, fails, refused = records[0], records[1:6], records[6:8], records[8:11]
        error, none = EventError("not JSON: Expecting value"), EventError("no value")
        desk.set_aside(plain, error, f"poll() handed out {len(records)} records of two partitions, this is the first")
        broken = RuntimeError("the database said: " + "x" * 2_000_000)
        for record, why in zip(odd, [EventError("no event"), none, KeyError("amount"), none, broken], strict=True):
            desk.set_aside(record, why, f"the record: {_described(record)}")
        desk.set_aside(records[11], error, "a record of partition 1")
        desk.fails("send", fails[0], error)
        desk.fails("commit", fails[1], error)
        desk.refused(refused, error)
    finally:
        lab.delete_topics([dead_letter.topic_of(lab.namespace + CHECKED)])
    return "Every record came back as it was; only what was set aside was committed, and nothing when it could not be."


class Desk:
    """Where records are set aside: the learner's function, the consumer, and what lay in the dead letter topic."""

    def __init__(self, answer: Submission, lab: "Lesson", consumer: KafkaConsumer):
        self.answer, self.lab, self.consumer = answer, lab, consumer
        self.dead = lab.dead_letters(next(iter(consumer.assignment())).topic)
        self.due: dict[int, int] = {}  # by partition, what is to be committed
        self._seen: set[tuple[int, int]] = set()  # places of dead letters
        # From now on the coordinator is known, so a commit that is only begun (commit_async) is on its way before the
        # check asks for it, on the same connection.
        self.committed()

    def producer(self) -> KafkaProducer:
        """A new one: one that was refused a record sends nothing any more."""
        return self.lab.producer(name="check-letters", **dead_letter.producer_settings())

    def letters(self) -> list[ConsumerRecord]:
        """The dead letters that were not there when this was asked before."""
        new = [each for each in self.lab.log(self.dead).records if (each.partition, each.offset) not in self._seen]
        self._seen |= {(each.partition, each.offset) for each in new}
        return new

    def committed(self) -> dict[int, int]:
        """By partition, where the group would go on; a partition without a place is not there."""
        places = {place: self.consumer.committed(place, timeout_ms=5_000) for place in self.consumer.assignment()}
        return {place.partition: offset for place, offset in places.items() if offset is not None}

    def bury(self, producer: KafkaProducer, record: ConsumerRecord, error: Exception, given: str) -> None:
        """Call the learner's function; what fails is told with `given`, which is shorter than a record."""
        try:
            self.answer(self.consumer, producer, record, error, returns=object)
        except Failed as failed:
            fields = failed.fields | {"given": given}
            if "called exit()" in fields["says"]:
                fields["look_at"] = "let the error out: whoever runs the service says what becomes of it"
            raise Failed(timed=failed.timed, **fields) from None

    def set_aside(self, record: ConsumerRecord, error: Exception, given: str) -> None:
        """It can be: one dead letter, the record as it was; and this record is committed, it alone."""
        given = f"bury(consumer, producer, record, {shown(error, 60)}); {given}"
        producer = self.producer()
        self.bury(producer, record, error, given)
        producer.flush(timeout=5)
        self._require_one_letter(record, error, given)
        self.due[record.partition] = record.offset + 1
        self._require_committed(record, given)

    def _require_one_letter(self, record: ConsumerRecord, error: Exception, given: str) -> None:
        letters = self.letters()
        if len(letters) != 1:
            raise TryAgain(
                says=f"{len(letters)} dead letters were written, and 1 is due.",
                given=given,
                broken="one call sends one dead letter",
                look_at="dead_letter.topic_of(record.topic), and one send()",
            )
        _require_letter(letters[0], record, error, self.consumer.config["group_id"], given)

    def _require_committed(self, record: ConsumerRecord, given: str) -> None:
        committed = self.committed()
        if committed == self.due:
            return
        came_back = f"committed, by partition: {committed}; due: {self.due}"
        own = committed.get(record.partition, 0)
        if own <= record.offset:
            raise TryAgain(
                says="The record was set aside, and is not committed.",
                given=given,
                came_back=came_back,
                broken="after a restart it would come again, and be set aside again",
                look_at="what is committed is the next offset: reading.after(record)",
            )
        lost = sum(committed.get(number, 0) - self.due.get(number, 0) for number in committed)
        raise TryAgain(
            says="More is committed than was set aside.",
            given=given,
            came_back=came_back,
            broken=f"commit() without offsets commits all that poll() handed out, of each partition: {lost} "
            f"record{'s' * (lost != 1)} would be lost if it dies now",
            look_at="reading.after(record) is what to commit after this record",
        )

    def fails(self, method: str, record: ConsumerRecord, error: Exception) -> None:
        """The producer's send() or the consumer's commit() raises once: the error comes out, or it is done anyway."""
        producer = self.producer()
        client = producer if method == "send" else self.consumer
        whose = "producer" if method == "send" else "consumer"
        given = f"bury(consumer, producer, record, {error!r}); {whose}.{method}() raises KafkaTimeoutError once"
        with failing_once(client, method, KafkaTimeoutError("Kafka does not answer")) as raised:
            out, _ = came_out(self.bury, producer, record, error, given)
        producer.flush(timeout=5)
        written, committed = len(self.letters()), self.committed().get(record.partition, 0) > record.offset
        if committed and not written:
            raise TryAgain(
                says="The record is lost: it is committed, and has no dead letter.",
                given=given,
                broken="first the dead letter is acknowledged, then the record is committed",
                look_at="what does your code do when send() raises?",
            )
        if raised and not out and not committed:
            raise TryAgain(
                says=f"{method}() raised an error, and bury returned as if nothing had happened.",
                given=given,
                came_back="the record is not committed",
                broken="a service that goes on commits the next record, and with it this one",
                look_at="which `except` keeps the error? Let it out",
            )

    def refused(self, records: Sequence[ConsumerRecord], error: Exception) -> None:
        """The second of three records is too large for the dead letter topic, which is a new one."""
        self.dead = self.lab.create_topic(self.dead, len(self.consumer.assignment()), max_message_bytes=LARGEST)
        given = f"three records; the dead letter of the second is larger than the topic takes ({LARGEST:,} bytes)"
        story, waited = ["bury(record 1) returns"], list[object]()
        self.bury(self.producer(), records[0], error, given)
        for number, record in enumerate(records[1:], 2):
            producer = self.producer()
            send = producer.send
            producer.send = lambda *what, send=send, **more: Noted(send(*what, **more), waited)
            out, _ = came_out(self.bury, producer, record, error, given)
            story.append(f"bury(record {number}) {'raises' if out else 'returns'}")
            if out:
                break
        end = self.committed()[records[0].partition]
        letters = {dead_letter.unwrap(each).offset for each in self.lab.log(self.dead).records}
        _judge_refused(records, end, letters, given=given, story=story, waited=bool(waited))


def _judge_refused(
    records: Sequence[ConsumerRecord], end: int, letters: set[int], *, given: str, story: list[str], waited: bool
) -> None:
    """`end` is what is committed, `letters` the offsets of records that have one; whether anybody `waited` for one."""
    lost = [n for n, each in enumerate(records, 1) if each.offset < end and each.offset not in letters]
    told = " → ".join([*story, f"committed: {sum(each.offset < end for each in records)} of {len(records)}"])
    if lost:
        look_at = "which line waits for the acknowledgement? send() returns before it, and flush() does not raise"
        if waited:
            look_at = (
                "it is waited for, and refused: does the error come out before the commit, or does a line keep it?"
            )
        raise TryAgain(
            says=f"Record {lost[0]} is lost: it is committed, and the broker refused its dead letter.",
            given=given,
            story=told,
            broken="first the dead letter is acknowledged, then the record is committed",
            look_at=look_at,
        )
    if records[1].offset in letters:
        raise TryAgain(
            says="The dead letter of record 2 was written, and the record as it was does not fit.",
            given=given,
            story=told,
            broken="a dead letter is the record as it was, so that it can be repaired and sent again",
            look_at="what of the record do you leave out? If it is too large, let the error out",
        )
    if story[-1].endswith("returns"):
        raise TryAgain(
            says="The dead letter of record 2 was refused, and nobody heard of it.",
            given=given,
            story=told,
            broken="a service that goes on commits the next record, and with it this one",
            look_at="let the error out",
        )


def _in_hand(
    lab: "Lesson", first: Sequence[Wire], second: Sequence[Wire]
) -> tuple[KafkaConsumer, list[ConsumerRecord]]:
    """An own topic with these records in its two partitions, and a consumer that was handed all of them.

    Its group is new. The records are in order, those of partition 0 first.
    """
    topic = lab.topic(CHECKED, partitions=2)
    wires = [(*wire, number) for number, part in enumerate((first, second)) for wire in part]
    with closing(ConfluentProducer(lab.bootstrap)) as other:
        for sending in [other.send(topic, value, key, headers, number) for key, value, headers, number in wires]:
            sending.get(10)
    group = lab.group(CHECKED)
    lab.delete_groups([group] if group in lab.groups(group) else [])
    consumer = lab.consumer(name="check", group_id=group, enable_auto_commit=False, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, number) for number in range(2)])
    records: list[ConsumerRecord] = []

    def all_there() -> bool:
        for polled in consumer.poll(timeout_ms=200).values():
            records.extend(polled)
        return len(records) == len(wires)

    until(all_there, 10, "the records to be set aside")
    return consumer, sorted(records, key=lambda record: (record.partition, record.offset))


def _require_letter(held: ConsumerRecord, record: ConsumerRecord, error: Exception, group: str, given: str) -> None:
    try:
        letter = dead_letter.unwrap(held)
    except NotADeadLetterError as problem:
        raise TryAgain(
            says="dead_letter.unwrap cannot read what you wrote.",
            given=given,
            came_back=f"{_described(held)}: {problem}",
            broken="in a week nobody will know where it lay, and why it is here",
            look_at="dead_letter.wrap(record, error, attempts, group).encode() is key, value, headers: send all three",
        ) from problem
    found = {"key": letter.key, "value": letter.value, "headers": list(letter.headers), "time": letter.timestamp}
    was = {"key": record.key, "value": record.value, "headers": list(record.headers), "time": record.timestamp}
    found |= {"place": letter.coordinates, "group": letter.group, "attempts": letter.attempts}
    was |= {"place": f"{record.topic}/{record.partition}/{record.offset}", "group": group, "attempts": 1}
    for name, right in was.items():
        if found[name] != right:
            raise TryAgain(
                says=f"Not as it was, in the dead letter: the {name}."
                if name not in LOOK_AT
                else f"The dead letter says something else than what was: the {name}.",
                given=given,
                came_back=f"{name}: {shown(found[name], 120)}; it was {shown(right, 120)}",
                broken="whoever repairs it asks who could not process it, and how often it was tried"
                if name in LOOK_AT
                else "a dead letter is the record as it was, so that it can be repaired and sent again",
                look_at=LOOK_AT.get(name, "what of the record do you hand on, and what do you leave out?"),
            )
    if str(error)[:60].strip("'\"") not in letter.message or type(error).__name__ not in letter.error:
        raise TryAgain(
            says="The dead letter does not say which error it was.",
            given=given,
            came_back=f"{letter.error}: {shown(letter.message, 120)}",
            broken="whoever repairs it begins with the error",
            look_at="hand the error itself to dead_letter.wrap",
        )


LOOK_AT = {
    "group": 'consumer.config["group_id"]',
    "attempts": "dead_letter.wrap(record, error, attempts, group)",
}


def _described(record: ConsumerRecord) -> str:
    headers = ", ".join(f"{name}={shown(value, 20)}" for name, value in record.headers[:4]) or "none"
    return f"key {shown(record.key, 20)}, value {shown(record.value, 30)}, headers: {headers}"
