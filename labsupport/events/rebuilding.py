"""Building a state anew from all that a topic holds, in a group of its own that can then go on live. Lesson 11."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError
from kafka.structs import OffsetAndMetadata

from labsupport.base import LabError
from labsupport.events.account import Account
from labsupport.events.replay import Choice, Replay, choose
from labsupport.events.stretches import Stretch, inside

EVERY = 1.0  # seconds between two commits
COMMIT_MS = 5_000
UNFINISHED = "rebuilding"  # stands beside a committed offset until the rebuild has come to its end


def rebuild(
    consumer: KafkaConsumer,
    topic: str,
    handle: Callable[[Any], object],
    *,
    decode: Callable[[ConsumerRecord], Any] = lambda record: record,
    keep: Callable[[], object] = lambda: None,
    every: float = EVERY,
    patience: float = 10.0,
) -> Account:
    """Hand all that `topic` holds now to `handle(decode(record))`, for the consumer's group, a new one.

    Every `every` seconds, and at the end, `keep()` makes the state durable, and then the group's
    place is committed. So it can be killed and run again: it goes on where it was, and what was not
    kept comes again. Afterwards a service with this group goes on with what came since. `decode` as
    in `Replay.handle`; the replay's id is the group's name.

    The consumer has no topics of its own, and auto-commit switched off. Raises LabError if the
    group has members, or a place that no unfinished rebuild has left.
    """
    group = consumer.config["group_id"]
    if group is None:
        raise LabError(
            "A rebuild remembers how far it came in a group.",
            "this consumer has none",
            "give it a new group_id, and enable_auto_commit=False",
        )
    replaying = choose(consumer, Choice(topic), replay_id=group, patience=patience)
    starts = tuple(_started(consumer, topic, each) for each in replaying.stretches)
    replaying = Replay(consumer, replaying.choice, starts, group, patience)
    saving = _Saving(consumer, topic, keep, every)
    # If the group has members, this is refused, before anything is handled.
    saving.commit({each.partition: each.start for each in starts}, UNFINISHED)
    account = replaying.handle(handle, decode=decode, between=saving.now_and_then)
    keep()
    saving.commit(account.reached, "")
    return account


def _started(consumer: KafkaConsumer, topic: str, stretch: Stretch) -> Stretch:
    """The stretch, from where an earlier run that was interrupted has come to."""
    stored = consumer.committed(TopicPartition(topic, stretch.partition), metadata=True, timeout_ms=COMMIT_MS)
    if stored is None:
        return stretch
    if stored.metadata != UNFINISHED:
        raise LabError(
            f"{consumer.config['group_id']} has its place in {topic} already.",
            f"it goes on at offset {stored.offset} of partition {stretch.partition}; to rebuild would lose that",
            "take the name of a new group; or stop its members, reset it to the beginning, and let them read again",
        )
    start, note = inside(stored.offset, stretch.begin, stretch.end)
    notes = (f"goes on at {start}", note) if start > stretch.begin else (note,)
    return replace(stretch, start=start, notes=(*stretch.notes, *(each for each in notes if each)))


class _Saving:
    """First the state is kept, then the place is committed: a crash in between hands some events out twice."""

    def __init__(self, consumer: KafkaConsumer, topic: str, keep: Callable[[], object], every: float):
        self.consumer, self.topic, self.keep, self.every = consumer, topic, keep, every
        self.last = time.monotonic()

    def now_and_then(self, reached: Mapping[int, int]) -> None:
        if time.monotonic() - self.last >= self.every:
            self.keep()
            self.commit(reached, UNFINISHED)
            self.last = time.monotonic()

    def commit(self, reached: Mapping[int, int], note: str) -> None:
        offsets = {
            TopicPartition(self.topic, each): OffsetAndMetadata(offset, note, -1) for each, offset in reached.items()
        }
        try:
            self.consumer.commit(offsets, timeout_ms=COMMIT_MS)
        except (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError) as error:
            raise LabError(
                f"{self.consumer.config['group_id']} cannot be rebuilt now.",
                "it has members, and its place is theirs",
                "stop them first, or take the name of a new group",
            ) from error
