"""Running history again: choose records, hand them to a function or send them to a topic, account for each. Lesson 11.

What is replayed carries a mark, two headers more: `replay_id` says which replay it comes from, `replay_origin` where it
lay first (topic/partition/offset). Whoever sends mails or charges cards looks for it: `if replayed(record): …`.
"""

import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.console import progress
from labsupport.delivery.reading import require_no_auto_commit
from labsupport.errors import EventError, LabError
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.history.offset_range import OffsetRange, read
from labsupport.history.outgoing import Outgoing, Sender, Skip
from labsupport.history.replay_report import ReplayCounter, ReplayReport, coordinates_of
from labsupport.history.selection import Selection, resolve

REPLAY_ID, ORIGIN = "replay_id", "replay_origin"


def replayed(record: ConsumerRecord) -> str | None:
    """The id of the replay that a record comes from; None if from none, and its effects are due."""
    for name, value in record.headers:
        if name == REPLAY_ID:
            return (value or b"").decode(errors="backslashreplace")
    return None


def marked(record: ConsumerRecord, replay_id: str) -> ConsumerRecord:
    """The same record with the mark. Replayed again, it gets the new id and keeps its first origin."""
    headers, origin = record.headers, coordinates_of(record).encode()
    if replayed(record) is not None:
        origin = next((value for name, value in headers if name == ORIGIN), origin)
        headers = [each for each in headers if each[0] not in (REPLAY_ID, ORIGIN)]
    return record._replace(headers=[*headers, (REPLAY_ID, replay_id.encode()), (ORIGIN, origin)])


def copy(record: ConsumerRecord, topic: str, replay_id: str) -> Outgoing:
    """The record for another topic: marked, and otherwise as it is: key, value, headers and timestamp."""
    return Outgoing(topic, record.key, record.value, tuple(marked(record, replay_id).headers), record.timestamp)


def choose(consumer: KafkaConsumer, selection: Selection, *, replay_id: str = "", patience: float = 10.0) -> "Replay":
    """What the selection means in the log as it is now: where it begins and where it ends, whatever is added later.

    The consumer has no topics of its own, and commits nothing. `replay_id` goes into the marks; by default it is one
    that no other replay has. After `patience` seconds in which nothing comes it gives up. Raises LabError if there is
    no such topic or partition.
    """
    if consumer.subscription():
        raise LabError(
            "A replay chooses what its consumer reads.",
            f"this one is subscribed to {', '.join(sorted(consumer.subscription()))}",
            'make one without topics: lab.consumer(name="replay")',
        )
    require_no_auto_commit(consumer, "A replay", group=False)
    return Replay(consumer, selection, resolve(consumer, selection), replay_id or uuid.uuid4().hex[:8], patience)


def _nothing(_reached: Mapping[int, int]) -> None:
    """What is done between two batches, if nobody says otherwise."""


class Replay:
    """Chosen records: to be handled or sent, as often as one likes. `account` says what became of them the last time.

    Made by `choose`.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        selection: Selection,
        ranges: tuple[OffsetRange, ...],
        replay_id: str,
        patience: float,
    ):
        self.consumer, self.selection, self.ranges = consumer, selection, ranges
        self.replay_id, self.patience = replay_id, patience
        self._counter = ReplayCounter(selection.topic, replay_id, ranges)

    @property
    def report(self) -> ReplayReport:
        """How far it has come: while it runs too, and after it was interrupted."""
        return self._counter.report

    def handle(
        self,
        handle: Callable[[Any], object],
        *,
        decode: Callable[[ConsumerRecord], Any] = lambda record: record,
        dry_run: bool = False,
        between: Callable[[Mapping[int, int]], object] = _nothing,
    ) -> ReplayReport:
        """Call `handle(decode(record))` for each record, marked; those of a partition in their order.

        A record for which `decode` raises EventError or Skip is counted and left. What `handle` raises comes out, with
        the account as a note. With `dry_run` everything is done but `handle`. Between two batches `between` is called
        with the next offset of each partition.
        """
        self._counter = ReplayCounter(self.selection.topic, self.replay_id, self.ranges, "handled", dry_run)

        def work(thing: Any) -> None:
            handle(thing)
            self._counter.done += 1

        return self._run(lambda record: decode(marked(record, self.replay_id)), work, between)

    def look(self, see: Callable[[ConsumerRecord], object]) -> ReplayReport:
        """Call `see(record)` for each record as it lies, without the mark: to look at it, not to process it.

        If it raises Skip, that is counted.
        """
        self._counter = ReplayCounter(self.selection.topic, self.replay_id, self.ranges, "seen")

        def work(_seen: object) -> None:
            self._counter.done += 1

        return self._run(see, work, _nothing)

    def send(
        self,
        producer: KafkaProducer | ConfluentProducer,
        to: str | Callable[[ConsumerRecord], Outgoing],
        *,
        in_flight: int = 1_000,
        dry_run: bool = False,
    ) -> ReplayReport:
        """Send a copy of each record, marked, to the topic `to`; or what `to(record)` makes of it, which has no mark.

        A record for which `to` raises EventError or Skip is counted and left, and so is one that a KafkaProducer cannot
        send; an `librdkafka.ConfluentProducer` can. At most `in_flight` are on their way at once. Raises LabError if there is no
        such topic, and the client's error for the first record that was not acknowledged, with the account as a note.
        """
        self._counter = ReplayCounter(self.selection.topic, self.replay_id, self.ranges, "sent", dry_run)
        sender = Sender(self.consumer, producer, self._counter, in_flight)
        make = to if callable(to) else partial(copy, topic=to, replay_id=self.replay_id)

        def prepare(record: ConsumerRecord) -> tuple[ConsumerRecord, Outgoing]:
            out = make(record)
            sender.check(out)
            return record, out

        if isinstance(to, str):
            sender.require_topic(to)
        return self._run(prepare, lambda prepared: sender.send(*prepared), _nothing, sender.finish)

    def _run(
        self,
        prepare: Callable[[ConsumerRecord], Any],
        work: Callable[[Any], object],
        between: Callable[[Mapping[int, int]], object],
        finish: Callable[[], object] = lambda: None,
    ) -> ReplayReport:
        counter, missed_by = self._counter, self.selection.missed_by()
        batches = read(self.consumer, self.selection.topic, self.ranges, counter.expire, counter.unread, self.patience)
        try:
            with progress("Replaying", sum(each.stop - each.start for each in self.ranges), "record") as bar:
                for partition, records, position in batches:
                    begin = counter.reached[partition]
                    for record in records:
                        counter.reached[partition] = record.offset
                        self._take(record, missed_by(record), prepare, work)
                    counter.reached[partition] = position
                    bar.update(position - begin)
                    between(counter.reached)
                finish()
        except BaseException as error:
            error.add_note(str(self.report))
            raise
        return self.report

    def _take(
        self, record: ConsumerRecord, missed_by: str, prepare: Callable[[ConsumerRecord], Any], work: Callable
    ) -> None:
        counter = self._counter
        counter.read += 1
        if missed_by:
            counter.left_out[missed_by] += 1
            return
        counter.chosen += 1
        try:
            prepared = prepare(record)
        except (EventError, Skip) as reason:
            counter.skip(record, reason)
            return
        if not counter.dry_run:
            work(prepared)
