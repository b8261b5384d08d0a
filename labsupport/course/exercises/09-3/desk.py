"""Where records are set aside: calls the learner's publisher, and looks at dead letters and commits afterwards."""

from collections.abc import Sequence
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError

from labsupport.course.exercises.failing_clients import Noted, came_out, failing_once
from labsupport.course.lab import Lab
from labsupport.course.submission import Failed, Submission, TryAgain, shown
from labsupport.delivery import dead_letter
from labsupport.errors import NotADeadLetterError

LARGEST = 2_000  # bytes in a record of the dead letter topic that is too small


class Desk:
    """The learner's publisher at work: its consumer, and the dead letters written so far."""

    def __init__(self, answer: Submission, lab: Lab, consumer: KafkaConsumer):
        self.answer, self.lab, self.consumer = answer, lab, consumer
        self.dead = lab.dead_letters(next(iter(consumer.assignment())).topic)
        self.due: dict[int, int] = {}  # by partition, the offset that should be committed
        self._seen: set[tuple[int, int]] = set()  # partition and offset of dead letters
        # Learn the coordinator now: then a commit that is only begun (commit_async) is sent before the check asks for
        # committed offsets on the same connection.
        self.committed()

    def producer(self) -> KafkaProducer:
        """A new producer: after a refusal, the old one sends nothing more."""
        return self.lab.producer(name="check-letters", **dead_letter.producer_settings())

    def letters(self) -> list[ConsumerRecord]:
        """The dead letters written since the last call."""
        new = [each for each in self.lab.log(self.dead).records if (each.partition, each.offset) not in self._seen]
        self._seen |= {(each.partition, each.offset) for each in new}
        return new

    def committed(self) -> dict[int, int]:
        """The committed offsets by partition, of the partitions that have one."""
        places = {place: self.consumer.committed(place, timeout_ms=5_000) for place in self.consumer.assignment()}
        return {place.partition: offset for place, offset in places.items() if offset is not None}

    def bury(self, producer: KafkaProducer, record: ConsumerRecord, error: Exception, given: str) -> None:
        """Call the learner's function; a failure shows `given` instead of whole records."""
        try:
            self.answer(self.consumer, producer, record, error, returns=object)
        except Failed as failed:
            fields = failed.fields | {"given": given}
            if "called exit()" in fields["says"]:
                fields["look_at"] = "let the error out: whoever runs the service decides what to do"
            raise Failed(timed=failed.timed, **fields) from None

    def set_aside(self, record: ConsumerRecord, error: Exception, given: str) -> None:
        """Nothing fails: require one dead letter with the record unchanged, and a commit of this record only."""
        given = f"bury(consumer, producer, record, {shown(error, 60)}); {given}"
        producer = self.producer()
        self.bury(producer, record, error, given)
        producer.flush(timeout=60)
        self._require_one_letter(record, error, given)
        self.due[record.partition] = record.offset + 1
        self._require_committed(record, given)

    def _require_one_letter(self, record: ConsumerRecord, error: Exception, given: str) -> None:
        letters = self.letters()
        if len(letters) != 1:
            raise TryAgain(
                says=f"{len(letters)} dead letters were written instead of 1.",
                given=given,
                rule="one call must send one dead letter",
                look_at="call send() once, to dead_letter.topic_of(record.topic)",
            )
        _require_letter(letters[0], record, error, self.consumer.config["group_id"], given)

    def _require_committed(self, record: ConsumerRecord, given: str) -> None:
        committed = self.committed()
        if committed == self.due:
            return
        came_back = f"committed, by partition: {committed}; expected: {self.due}"
        own = committed.get(record.partition, 0)
        if own <= record.offset:
            raise TryAgain(
                says="The record was set aside, but not committed.",
                given=given,
                came_back=came_back,
                rule="after a restart it would be delivered again, and set aside again",
                look_at="commit the next offset: reading.after(record)",
            )
        lost = sum(committed.get(number, 0) - self.due.get(number, 0) for number in committed)
        raise TryAgain(
            says="More was committed than was set aside.",
            given=given,
            came_back=came_back,
            rule=f"commit() without offsets commits everything that poll() returned, in each partition: a crash "
            f"now would lose {lost} record{'s' * (lost != 1)}",
            look_at="commit reading.after(record)",
        )

    def fails(self, method: str, record: ConsumerRecord, error: Exception) -> None:
        """The producer's send() or the consumer's commit() raises once: require the error, or that the work is done."""
        producer = self.producer()
        client = producer if method == "send" else self.consumer
        whose = "producer" if method == "send" else "consumer"
        given = f"bury(consumer, producer, record, {error!r}); {whose}.{method}() raises KafkaTimeoutError once"
        with failing_once(client, method, KafkaTimeoutError("Kafka does not answer")) as raised:
            out, _ = came_out(self.bury, producer, record, error, given)
        producer.flush(timeout=60)
        written, committed = len(self.letters()), self.committed().get(record.partition, 0) > record.offset
        if committed and not written:
            raise TryAgain(
                says="The record is lost: it is committed and has no dead letter.",
                given=given,
                rule="commit the record only after its dead letter is acknowledged",
                look_at="what does your code do when send() raises?",
            )
        if raised and not out and not committed:
            raise TryAgain(
                says=f"{method}() raised an error, and bury returned as if nothing had happened.",
                given=given,
                came_back="the record is not committed",
                rule="a service that continues commits the next record, and this one with it",
                look_at="which `except` swallows the error? Let it out",
            )

    def refused(self, records: Sequence[ConsumerRecord], error: Exception) -> None:
        """Set three records aside; the second is too large for the new dead letter topic."""
        self.dead = self.lab.create_topic(self.dead, len(self.consumer.assignment()), max_message_bytes=LARGEST)
        given = f"three records; the dead letter of the second is larger than the topic accepts ({LARGEST:,} bytes)"
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
    """`end` is the committed offset, `letters` has the offsets of records with a dead letter; `waited`: for an ack."""
    lost = [n for n, each in enumerate(records, 1) if each.offset < end and each.offset not in letters]
    told = " → ".join([*story, f"committed: {sum(each.offset < end for each in records)} of {len(records)}"])
    if lost:
        look_at = "which line waits for the acknowledgement? send() returns before it comes, and flush() does not raise"
        if waited:
            look_at = (
                "your code waited, and the broker refused: does the error come out before the commit, or is it "
                "swallowed?"
            )
        raise TryAgain(
            says=f"Record {lost[0]} is lost: it is committed, and the broker refused its dead letter.",
            given=given,
            story=told,
            rule="commit the record only after its dead letter is acknowledged",
            look_at=look_at,
        )
    if records[1].offset in letters:
        raise TryAgain(
            says="The dead letter of record 2 was written, although the whole record does not fit.",
            given=given,
            story=told,
            rule="a dead letter holds the record unchanged, so that it can be repaired and sent again",
            look_at="which part of the record do you leave out? If it is too large, let the error out",
        )
    if story[-1].endswith("returns"):
        raise TryAgain(
            says="The broker refused the dead letter of record 2, and the error was swallowed.",
            given=given,
            story=told,
            rule="a service that continues commits the next record, and this one with it",
            look_at="let the error out",
        )


def _require_letter(held: ConsumerRecord, record: ConsumerRecord, error: Exception, group: str, given: str) -> None:
    try:
        letter = dead_letter.unwrap(held)
    except NotADeadLetterError as problem:
        raise TryAgain(
            says="dead_letter.unwrap cannot read what you wrote.",
            given=given,
            came_back=f"{described(held)}: {problem}",
            rule="in a week nobody will know where the record was, and why it is here",
            look_at="dead_letter.wrap(record, error, attempts, group).encode() returns key, value and headers: "
            "send all three",
        ) from problem
    found: dict[str, Any] = {
        "key": letter.key,
        "value": letter.value,
        "headers": list(letter.headers),
        "time": letter.timestamp,
    }
    was: dict[str, Any] = {
        "key": record.key,
        "value": record.value,
        "headers": list(record.headers),
        "time": record.timestamp,
    }
    found |= {"origin": letter.coordinates, "group": letter.group, "attempts": letter.attempts}
    was |= {"origin": f"{record.topic}/{record.partition}/{record.offset}", "group": group, "attempts": 1}
    for name, right in was.items():
        if found[name] != right:
            raise TryAgain(
                says=f"The dead letter does not hold the record unchanged. Changed: the {name}."
                if name not in LOOK_AT
                else f"The dead letter is wrong about the {name}.",
                given=given,
                came_back=f"{name}: {shown(found[name], 120)}; it should be {shown(right, 120)}",
                rule="a repair begins with the questions which group failed, and after how many attempts"
                if name in LOOK_AT
                else "a dead letter holds the record unchanged, so that it can be repaired and sent again",
                look_at=LOOK_AT.get(name, "which parts of the record do you pass on, and which do you leave out?"),
            )
    if str(error)[:60].strip("'\"") not in letter.message or type(error).__name__ not in letter.error:
        raise TryAgain(
            says="The dead letter does not name the error.",
            given=given,
            came_back=f"{letter.error}: {shown(letter.message, 120)}",
            rule="a repair begins with the error",
            look_at="pass the error itself to dead_letter.wrap",
        )


LOOK_AT = {
    "group": 'consumer.config["group_id"]',
    "attempts": "dead_letter.wrap(record, error, attempts, group)",
}


def described(record: ConsumerRecord) -> str:
    """The record in one line: key, value and the first headers."""
    headers = ", ".join(f"{name}={shown(value, 20)}" for name, value in record.headers[:4]) or "none"
    return f"key {shown(record.key, 20)}, value {shown(record.value, 30)}, headers: {headers}"
