"""The trace of chosen events, for `plots.spacetime`: made of the topic's records and the workers' moments. Pure.

Lesson 09 draws retries and a dead letter, lesson 10 the redrive.
"""

from collections.abc import Iterable

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.delivery.dead_letter import mark_of
from labsupport.delivery.moments import COMMITS, DONE_TO_PROCESSES, RECORD_DONE, Kind, Moment
from labsupport.delivery.reading import id_of


def of_events(records: Iterable[ConsumerRecord], moments: Iterable[Moment], *ids: str) -> tuple[Moment, ...]:
    """What happened to the events with these ids, or to all: sent, then the workers' moments in order, and redrives.

    `records` are all of the topic, each partition in order. Of the commits, only those that cover one of these events
    are kept. A redriven record appears just before a worker handles it, or at the end if no worker did.
    """
    sent, redriven = [], {}
    for record in records:
        if not ids or id_of(record) in ids:
            if mark_of(record.headers):
                redriven[TopicPartition(record.topic, record.partition), record.offset] = Moment.of(
                    Kind.REDRIVEN, "", record
                )
            else:
                sent.append(Moment.of(Kind.SENT, "", record))
    return (*sent, *_followed(moments, ids, redriven), *redriven.values())


def _followed(
    moments: Iterable[Moment], ids: tuple[str, ...], redriven: dict[tuple[TopicPartition, int | None], Moment]
) -> list[Moment]:
    """The moments of these events. Moves each record from `redriven` to the point where a worker handled it."""
    followed: list[Moment] = []
    uncommitted: set[tuple[str, TopicPartition]] = set()  # where a chosen event awaits its commit
    for moment in moments:
        own = {(moment.client_id, partition) for partition in moment.partitions}
        if moment.event_id and (not ids or moment.event_id in ids):
            if arrival := redriven.pop((moment.partitions[0], moment.offset), None):
                followed.append(arrival)
            followed.append(moment)
            if moment.kind in RECORD_DONE:
                uncommitted |= own
        elif moment.kind in COMMITS and own & uncommitted:
            followed.append(moment)
            if moment.kind is Kind.COMMITTED:
                uncommitted -= own
        elif moment.kind in DONE_TO_PROCESSES:
            followed.append(moment)
    return followed
