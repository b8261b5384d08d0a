"""Read what all learners have told the board, and when each was last seen."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from kafka import TopicPartition

from labsupport.broker.advice import speaking
from labsupport.broker.cluster import Cluster
from labsupport.classroom.roster import NAME
from labsupport.course.board import TOPIC
from labsupport.waiting import until

PROGRESS = re.compile(rf"lab-({NAME.pattern})-{TOPIC}")
PASSED = "PASS"


@dataclass(frozen=True)
class Told:
    """How a learner's last check of an exercise ended, and when (s since 1970, the broker's clock)."""

    learner: str
    exercise: str
    outcome: str
    at: float


def read(kafka: Cluster) -> list[Told]:
    """Return every learner's outcomes: the last of each exercise, but a solved one stays solved. In order of time."""
    topics = [name for name in kafka.topics("lab-") if PROGRESS.fullmatch(name)]
    partitions = [TopicPartition(name, 0) for name in topics]
    if not partitions:
        return []
    consumer = kafka.consumer(name="board")
    found: dict[tuple[str, str], Told] = {}
    with speaking("Could not read the board."):
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        consumer.seek_to_beginning(*partitions)

        def all_read() -> bool:
            for told in _told(consumer.poll(timeout_ms=200).values()):
                before = found.get((told.learner, told.exercise))
                if before is None or before.outcome != PASSED:
                    found[told.learner, told.exercise] = told
            return all(consumer.position(each) >= ends[each] for each in partitions)

        until(all_read, 60, "the board's topics to be read", every=0)
    kafka.close_client("board")
    return sorted(found.values(), key=lambda told: told.at)


def _told(batches: Iterable[list]) -> Iterable[Told]:
    """Yield what can be read; a learner may write anything into the own topic."""
    for record in (record for batch in batches for record in batch):
        match = PROGRESS.fullmatch(record.topic)
        try:
            exercise, outcome = record.key.decode(), json.loads(record.value)["outcome"]
        except (AttributeError, ValueError, KeyError, TypeError):
            continue
        if match and re.fullmatch(r"[0-9]{2}-[0-9]{1,2}", exercise) and isinstance(outcome, str):
            yield Told(match[1], exercise, outcome[:20], record.timestamp / 1000)


def last_seen(told: Iterable[Told]) -> dict[str, float]:
    """Return by learner when something was told last."""
    return {each.learner: each.at for each in sorted(told, key=lambda each: each.at)}
