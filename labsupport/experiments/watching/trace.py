"""The road of chosen events, for `plots.spacetime`: from the topic's records and what the workers told. Pure.

Lesson 09 draws retries and a dead letter, lesson 10 what comes after a redrive.
"""

from collections.abc import Iterable

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.delivery.dead_letter import mark_of
from labsupport.delivery.moments import COMMITS, DONE_TO_PROCESSES, RECORD_DONE, Kind, Moment
from labsupport.delivery.reading import id_of


def of_events(records: Iterable[ConsumerRecord], moments: Iterable[Moment], *ids: str) -> tuple[Moment, ...]:
    """What happened to the events of these ids, or to all: sent, the workers' moments in their order, redriven.

    `records` are the topic's, in the order of its partitions. Of commits those are kept that are about one of these
    events. A record that was redriven arrives just before a worker gets it, or at the end if none did.
    """
    first, back = [], {}
    for record in records:
        place = TopicPartition(record.topic, record.partition)
        if not ids or id_of(record) in ids:
            if mark_of(record.headers):
                back[place, record.offset] = Moment.of(Kind.REDRIVEN, "", record)
            else:
                first.append(Moment.of(Kind.SENT, "", record))
    return (*first, *_followed(moments, ids, back), *back.values())


def _followed(
    moments: Iterable[Moment], ids: tuple[str, ...], back: dict[tuple[TopicPartition, int], Moment]
) -> list[Moment]:
    """The moments that are about these events; takes out of `back` what a worker got, and puts it where it got it."""
    story: list[Moment] = []
    ended: set[tuple[str, TopicPartition]] = set()  # where a chosen event waits for its commit
    for moment in moments:
        own = {(moment.client_id, place) for place in moment.partitions}
        if moment.event_id and (not ids or moment.event_id in ids):
            if arrival := back.pop((moment.partitions[0], moment.offset), None):
                story.append(arrival)
            story.append(moment)
            if moment.kind in RECORD_DONE:
                ended |= own
        elif moment.kind in COMMITS and own & ended:
            story.append(moment)
            if moment.kind is Kind.COMMITTED:
                ended -= own
        elif moment.kind in DONE_TO_PROCESSES:
            story.append(moment)
    return story
