"""Read selected records, and count what becomes of each. Redrive, replay and rebuild stand on it.

Each record passes two steps: `prepare` may skip it, by EventError or Skip; `work` then acts on what `prepare` returned,
unless it is a dry run.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.console import progress
from labsupport.delivery.reading import require_no_auto_commit
from labsupport.errors import EventError, LabError
from labsupport.history.offset_range import OffsetRange, read
from labsupport.history.outgoing import Skip
from labsupport.history.replay_report import ReplayCounter, ReplayReport
from labsupport.history.selection import Selection
from labsupport.transactions import read_committed

Reached = Mapping[int, int]  # by partition, the next offset


def require_free(consumer: KafkaConsumer) -> None:
    """Let the consumer read committed, as a service would: what was aborted is not read again.

    Raises LabError unless it has no topics of its own and commits nothing by itself.
    """
    if consumer.subscription():
        raise LabError(
            "A replay chooses what its consumer reads.",
            f"this one is subscribed to {', '.join(sorted(consumer.subscription()))}",
            'make one without topics: lab.consumer(name="replay")',
        )
    require_no_auto_commit(consumer, "A replay", group=False)
    read_committed(consumer)


def look(
    consumer: KafkaConsumer,
    selection: Selection,
    ranges: Sequence[OffsetRange],
    see: Callable[[ConsumerRecord], object],
    patience: float = 10.0,
) -> ReplayReport:
    """Call `see(record)` for each selected record as it lies in the log. If it raises Skip, the record is skipped."""
    counter = ReplayCounter(selection.topic, "", ranges, "seen")

    def work(_seen: object) -> None:
        counter.done += 1

    scan(consumer, selection, ranges, counter, see, work, patience=patience)
    return counter.report


def scan(
    consumer: KafkaConsumer,
    selection: Selection,
    ranges: Sequence[OffsetRange],
    counter: ReplayCounter,
    prepare: Callable[[ConsumerRecord], Any],
    work: Callable[[Any], object],
    *,
    between: Callable[[Reached], object] = lambda _: None,
    finish: Callable[[], object] = lambda: None,
    patience: float = 10.0,
) -> None:
    """Call `work(prepare(record))` for each selected record of the ranges, and count it.

    Between two batches `between` gets the next offset of each partition; `finish` is called at the end. An error comes
    out with the report as a note. Raises LabError as `offset_range.read`.
    """
    missed_by = selection.missed_by()
    batches = read(consumer, selection.topic, ranges, counter.expire, counter.unread, patience)
    try:
        with progress("Replaying", sum(each.stop - each.start for each in ranges), "record") as bar:
            for partition, records, position in batches:
                begin = counter.reached[partition]
                for record in records:
                    counter.reached[partition] = record.offset
                    _take(record, missed_by(record), counter, prepare, work)
                counter.reached[partition] = position
                bar.update(position - begin)
                between(counter.reached)
            finish()
    except BaseException as error:
        error.add_note(str(counter.report))
        raise


def _take(
    record: ConsumerRecord,
    missed_by: str,
    counter: ReplayCounter,
    prepare: Callable[[ConsumerRecord], Any],
    work: Callable[[Any], object],
) -> None:
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
