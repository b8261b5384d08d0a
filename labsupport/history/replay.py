"""Replay: choose records, hand them to a function or send them to a topic, and report on each. Lesson 11.

A replayed record carries a mark of two headers: `replay_id` names its replay, `replay_origin` the coordinates where it
lay first (topic/partition/offset). A service that sends mails or charges cards asks: `if replayed(record): …`.
"""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.history.librdkafka import ConfluentProducer
from labsupport.history.offset_range import OffsetRange
from labsupport.history.outgoing import Outgoing, Sender
from labsupport.history.outgoing import Skip as Skip
from labsupport.history.replay_report import ReplayCounter, ReplayReport, coordinates_of
from labsupport.history.scan import Reached, require_free, scan
from labsupport.history.selection import Selection, resolve

REPLAY_ID, ORIGIN = "replay_id", "replay_origin"


def replayed(record: ConsumerRecord) -> str | None:
    """The id of the replay that the record comes from, or None if it is live and its effects are due."""
    for name, value in record.headers:
        if name == REPLAY_ID:
            return (value or b"").decode(errors="backslashreplace")
    return None


def marked(record: ConsumerRecord, replay_id: str) -> ConsumerRecord:
    """Return the record, marked. If it is replayed again it gets the new id and keeps its origin."""
    headers, origin = record.headers, coordinates_of(record).encode()
    if replayed(record) is not None:
        origin = next((value for name, value in headers if name == ORIGIN), origin)
        headers = [each for each in headers if each[0] not in (REPLAY_ID, ORIGIN)]
    return record._replace(headers=[*headers, (REPLAY_ID, replay_id.encode()), (ORIGIN, origin)])


def copy(record: ConsumerRecord, topic: str, replay_id: str) -> Outgoing:
    """A copy of the record for another topic: marked, with its key, value, headers and timestamp."""
    return Outgoing(topic, record.key, record.value, tuple(marked(record, replay_id).headers), record.timestamp)


def choose(consumer: KafkaConsumer, selection: Selection, *, replay_id: str = "", patience: float = 10.0) -> "Replay":
    """Resolve the selection against the log as it is now. Later records are not part of it.

    The consumer has no topics of its own and commits nothing. `replay_id` goes into the marks; the default is unique.
    The replay gives up after `patience` seconds without progress. Raises LabError if there is no such topic or
    partition.
    """
    require_free(consumer)
    return Replay(consumer, selection, resolve(consumer, selection), replay_id or uuid.uuid4().hex[:8], patience)


class Replay:
    """Chosen records, to be handled or sent any number of times. `report` says what became of them the last time.

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
        """What became of the records so far. It can be read while the replay runs, and after an interrupt."""
        return self._counter.report

    def handle(
        self,
        handle: Callable[[Any], object],
        *,
        decode: Callable[[ConsumerRecord], Any] = lambda record: record,
        dry_run: bool = False,
        between: Callable[[Reached], object] = lambda _: None,
    ) -> ReplayReport:
        """Call `handle(decode(record))` for each record, marked; in order within a partition.

        A record for which `decode` raises EventError or Skip is counted as skipped. An error of `handle` comes out,
        with the report as a note. A dry run does everything except `handle`. Between two batches `between` gets the
        next offset of each partition.
        """
        self._counter = ReplayCounter(self.selection.topic, self.replay_id, self.ranges, "handled", dry_run)

        def work(thing: Any) -> None:
            handle(thing)
            self._counter.done += 1

        self._scan(lambda record: decode(marked(record, self.replay_id)), work, between=between)
        return self.report

    def send(
        self,
        producer: KafkaProducer | ConfluentProducer,
        to: str | Callable[[ConsumerRecord], Outgoing],
        *,
        in_flight: int = 1_000,
        dry_run: bool = False,
    ) -> ReplayReport:
        """Send a marked copy of each record to the topic `to`, or send what `to(record)` returns, which has no mark.

        A record is skipped if `to` raises EventError or Skip, or if a KafkaProducer cannot send it; a ConfluentProducer
        can send every record. At most `in_flight` records are on their way. Raises LabError if there is no such topic,
        and the client's error for the first record that was not acknowledged, with the report as a note.
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
        self._scan(prepare, lambda prepared: sender.send(*prepared), finish=sender.finish)
        return self.report

    def _scan(self, prepare: Callable[[ConsumerRecord], Any], work: Callable[[Any], object], **more: Any) -> None:
        scan(self.consumer, self.selection, self.ranges, self._counter, prepare, work, patience=self.patience, **more)
