"""Redrive: dead letters go back to where they came from, to be processed after all. Lesson 10.

What goes back is the record as it was: key, value and headers, so the event has the id that it always had. It goes into
the partition that it came from, with the time of sending as its timestamp: with its old one, retention could take it
away at once. It carries a mark, `redrive_origin`. In the topic it reaches every group that reads there, also those that
have processed it already. Addressed to the group that could not process it (`redrive_group`) it is skipped by others,
if they look at that header as the lab's worker does.

Nothing is sent twice, as far as the topic tells: what carries the mark there was sent before. So a redrive that was
interrupted is simply run again. It cannot know of copies that retention or compaction has taken away meanwhile, nor of
another redrive that runs at the same moment; and a consumer can always get a record twice. The inbox is still needed.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.base import LabError
from labsupport.events.account import Account, place_of
from labsupport.events.choice import Choice
from labsupport.events.dead_letter import DeadLetter, NotADeadLetterError, mark_of, redriven, unwrap
from labsupport.events.exact import ExactProducer
from labsupport.events.replay import Outgoing, Skip, choose
from labsupport.events.stretches import EPOCH

if TYPE_CHECKING:
    import pandas

Marks = Collection[tuple[str, str | None]]  # of records that were redriven: where each lay, and for which group


@dataclass(frozen=True)
class Found:
    """A dead letter where it lies: `place` is topic/partition/offset in its topic, `written` when it was put there.

    `sent`: whether it was sent back before, to all groups or to its own.
    """

    place: str
    written: datetime
    letter: DeadLetter
    sent: bool = False


@dataclass(frozen=True)
class Letters:
    """The dead letters that were chosen, in their order; `account` says what was read, and what was no dead letter."""

    found: tuple[Found, ...]
    account: Account = field(repr=False)

    @property
    def by_error(self) -> dict[str, int]:
        """How many there are of each error's class, the most frequent first."""
        return dict(Counter(each.letter.error for each in self.found).most_common())

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each: its place (index), where its record lay, and what is known of it; the key as text."""
        import pandas  # here, because it takes longer to import than all the rest of a lesson

        columns = ["place", "origin", "key", "group", "attempts", "error", "message", "sent"]
        rows = [
            (each.place, each.letter.place, _text(each.letter.key), each.letter.group, each.letter.attempts,
             each.letter.error, each.letter.message, each.sent)
            for each in self.found
        ]  # fmt: skip
        return pandas.DataFrame(rows, columns=columns).set_index("place")


def choice(
    topic: str,
    *,
    error: str = "",
    group: str = "",
    where: Callable[[ConsumerRecord], object] = lambda _: True,
    **chosen: Any,
) -> Choice:
    """Which dead letters of `topic`, a dead letter topic: those to which all of this applies.

    `error` is a part of the error's class or of its message; `group` the group that could not process it. The rest is
    as in `replay.Choice`: `keys` and `types` are the original's; `since` and `before` are about when the dead letter
    was written, and `where` gets the record that it lies in.
    """

    def fits(record: ConsumerRecord) -> object:
        try:
            letter = unwrap(record)
        except NotADeadLetterError:
            return False
        return error in f"{letter.error}: {letter.message}" and group in ("", letter.group) and where(record)

    return Choice(topic, where=fits if error or group else where, **chosen)


def letters(consumer: KafkaConsumer, chosen: Choice) -> Letters:
    """The dead letters that are chosen, and whether each was sent back before. The consumer is as for `replay.choose`.

    Raises LabError if there is no such topic.
    """
    found: list[tuple[ConsumerRecord, DeadLetter]] = []
    account = choose(consumer, chosen).look(lambda record: found.append((record, _letter_in(record))))
    before = marks(consumer, {letter.topic for _, letter in found})
    return Letters(
        tuple(
            Found(place_of(record), EPOCH + timedelta(milliseconds=record.timestamp), letter, _sent(letter, before))
            for record, letter in found
        ),
        account,
    )


def redrive(
    consumer: KafkaConsumer,
    producer: KafkaProducer | ExactProducer,
    chosen: Choice,
    *,
    addressed: bool = False,
    dry_run: bool = False,
) -> Account:
    """Send the chosen dead letters to their original topics; what was sent before is counted and left.

    With `addressed`, each is for the group that could not process it, and for no other. Of several
    dead letters of one record one is sent (addressed: one for each group). With `dry_run`
    everything is done but sending. A KafkaProducer leaves, and counts, what it cannot send; an
    ExactProducer sends everything as it was. Raises LabError, before anything is sent, if an
    original topic is not there; and as `replay.Replay.send`.
    """
    replay, topics = choose(consumer, chosen), set[str]()
    replay.look(lambda record: topics.add(_letter_in(record).topic))
    partitions = {topic: consumer.partitions_for_topic(topic) or set() for topic in sorted(topics)}
    if missing := [topic for topic, there in partitions.items() if not there]:
        raise LabError(
            f"There is no topic {' and no topic '.join(missing)} any more.",
            f"dead letters in {chosen.topic} came from there; nothing was sent",
            "make it again, with as many partitions as it had, and redrive; or choose other dead letters",
        )
    before = set(marks(consumer, topics))

    def back(record: ConsumerRecord) -> Outgoing:
        letter = _letter_in(record)
        if (letter.place, None) in before or (addressed and (letter.place, letter.group) in before):
            raise Skip("sent before", letter.place)
        before.add((letter.place, letter.group if addressed else None))
        partition = letter.partition if letter.partition in partitions[letter.topic] else None
        headers = redriven(letter, addressed)
        return Outgoing(letter.topic, letter.key, letter.value, headers, None, partition)

    return replay.send(producer, back, dry_run=dry_run)


def marks(consumer: KafkaConsumer, topics: Iterable[str]) -> Marks:
    """The marks of all redriven records that these topics hold; a topic that is not there holds none."""
    found: set[tuple[str, str | None]] = set()

    def look(record: ConsumerRecord) -> None:
        if mark := mark_of(record.headers):
            found.add(mark)

    for topic in topics:
        if consumer.partitions_for_topic(topic):
            choose(consumer, Choice(topic)).look(look)
    return found


def _letter_in(record: ConsumerRecord) -> DeadLetter:
    try:
        return unwrap(record)
    except NotADeadLetterError as problem:
        raise Skip("no dead letter", str(problem)) from problem


def _sent(letter: DeadLetter, before: Marks) -> bool:
    return (letter.place, None) in before or (letter.place, letter.group) in before


def _text(key: bytes | None) -> str:
    return "–" if key is None else key.decode(errors="backslashreplace")
