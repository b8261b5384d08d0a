"""Redrive: dead letters go back to where they came from, to be processed after all. Lesson 10.

What goes back is the record as it was: key, value and headers, so the event has the id that it always had. It goes into
the partition that it came from, with the time of sending as its timestamp: with its old one, retention could take it
away at once. It carries a mark, `redrive_origin`. In the topic it reaches every group that reads there, also those that
have processed it already. Addressed to the group that could not process it (`redrive_group`) it is skipped by others,
if they look at that header as the lab's worker does.

Nothing is sent twice, as far as the topic tells: of what carries the mark there, the record was sent before. So a
redrive that was interrupted is simply run again. What was addressed to one group goes to all only if that is asked for
(`widen`): that group would get it twice. A redrive cannot know of copies that retention or compaction has taken away
meanwhile, nor of another one that sends at the same moment; and a consumer can always get a record twice. The inbox is
still needed.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.console import progress
from labsupport.delivery.dead_letter import DeadLetter, redriven, unwrap
from labsupport.delivery.record_time import moment
from labsupport.errors import LabError, NotADeadLetterError
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.history.outgoing import Outgoing, Sender, Skip
from labsupport.history.replay import choose
from labsupport.history.replay_report import ReplayCounter, ReplayReport, coordinates_of
from labsupport.history.selection import Selection
from labsupport.history.sent import Marks, Pair, Sent, groups_of

if TYPE_CHECKING:
    import pandas

UNKNOWN = "–"
ADDRESSED = "sent before, to one group only"  # why one is skipped that would now go to all


@dataclass(frozen=True)
class Found:
    """A dead letter where it lies: `place` is topic/partition/offset in its topic, `written` when it was put there.

    `sent`: whether it was sent back before, to all groups or to its own. `written` is None if its timestamp is no time.
    """

    coordinates: str
    written: datetime | None
    letter: DeadLetter
    sent: bool = False


@dataclass(frozen=True)
class Letters:
    """The dead letters that were chosen, in their order; `report` says what was read, and what was no dead letter."""

    found: tuple[Found, ...]
    report: ReplayReport = field(repr=False)

    @property
    def by_error(self) -> dict[str, int]:
        """How many there are of each error's class (of the cause's, if a tool names it), the most frequent first."""
        return dict(Counter(each.letter.reason or UNKNOWN for each in self.found).most_common())

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each: its place (index), where its record lay, and what is known of it; the key as text."""
        import pandas  # here, because it takes longer to import than all the rest of a lesson

        columns = ["coordinates", "origin", "key", "group", "attempts", "error", "message", "sent"]
        rows = [
            (each.coordinates, each.letter.coordinates, _text(each.letter.key), each.letter.group or UNKNOWN,
             each.letter.attempts or UNKNOWN, each.letter.reason or UNKNOWN, each.letter.message, each.sent)
            for each in self.found
        ]  # fmt: skip
        return pandas.DataFrame(rows, columns=columns).set_index("coordinates")


def selection(
    topic: str,
    *,
    error: str = "",
    group: str = "",
    where: Callable[[ConsumerRecord], object] | None = None,
    **chosen: Any,
) -> Selection:
    """Which dead letters of `topic`, a dead letter topic: those to which all of this applies.

    `error` is a part of the error's class, of its cause's class or of its message; `group` the group that could not
    process it. The rest is as in `replay.Selection`: `keys` and `types` are the original's; `since` and `before` are about
    when the dead letter was written, and `where` gets the record that it lies in.
    """
    tests: dict[str, Callable[[ConsumerRecord], object]] = {}
    if error:
        tests["error"] = _of_letters(lambda letter: error in f"{letter.error}: {letter.message}\n{letter.cause}")
    if group:
        tests["group"] = _of_letters(lambda letter: group == letter.group)
    return Selection(topic, where=where, tests=tests, **selection)


def letters(consumer: KafkaConsumer, selection: Selection) -> Letters:
    """The dead letters that are chosen, and whether each was sent back before. The consumer is as for `replay.choose`.

    Raises LabError if there is no such topic.
    """
    pairs, report = _read(consumer, selection)
    return _listed(pairs, Sent(consumer, pairs).marks, report)


def plan(
    consumer: KafkaConsumer,
    selection: Selection,
    *,
    addressed: bool = False,
    widen: bool = False,
    allow: Callable[[str], object] = lambda _: None,
) -> "Plan":
    """What a redrive of the chosen dead letters would send: nothing that comes later belongs to it.

    With `addressed`, each is for the group that could not process it, and for no other. Of several dead letters of one
    record one is sent (addressed: one for each group). With `widen` also what was sent to one group before is sent to
    all. The consumer is as for `replay.choose`, and is needed until the plan was sent. `allow(topic)` is called first,
    with each original topic, and raises for one that is not to be sent to. Raises LabError if there is no such topic,
    or an original topic is not there.
    """
    pairs, report = _read(consumer, selection)
    for topic in sorted({letter.topic for _, letter in pairs}):
        allow(topic)
    return Plan(consumer, pairs, report, addressed, widen)


def redrive(
    consumer: KafkaConsumer,
    producer: KafkaProducer | ConfluentProducer,
    selection: Selection,
    *,
    addressed: bool = False,
    widen: bool = False,
    dry_run: bool = False,
) -> ReplayReport:
    """Send the chosen dead letters to their original topics, as `plan` says; what was sent before is counted and left.

    With `dry_run` everything is done but sending. A KafkaProducer leaves, and counts, what it cannot send; an
    ConfluentProducer sends everything as it was. Raises LabError, before anything is sent, if an
    original topic is not there; and as `replay.Replay.send`.
    """
    return plan(consumer, selection, addressed=addressed, widen=widen).send(producer, dry_run=dry_run)


class Plan:
    """Dead letters that are to be sent back; made by `plan`.

    `letters` lists them, `report` says what would be sent, `topics` where to.
    """

    def __init__(
        self, consumer: KafkaConsumer, pairs: Sequence[Pair], report: ReplayReport, addressed: bool, widen: bool
    ):
        self.consumer, self.addressed, self.widen = consumer, addressed, widen
        self._pairs, self._seen = pairs, report
        self.topics = tuple(sorted({letter.topic for _, letter in pairs}))
        self._partitions()
        self._sent = Sent(consumer, pairs)
        self.letters = _listed(pairs, self._sent.marks, report)
        counter, before = ReplayCounter.on(report, "sent", dry_run=True), self._before()
        for record, letter in pairs:
            if reason := self._reason(letter, before):
                counter.skip(record, Skip(reason, letter.coordinates))
        counter.reached = {each.partition: each.stop for each in report.ranges}
        self.report = counter.report

    def send(self, producer: KafkaProducer | ConfluentProducer, *, dry_run: bool = False) -> ReplayReport:
        """Send what was planned, and nothing else; what somebody else has sent back since then is left.

        Raises as `redrive`; with the report as a note, if something was sent already.
        """
        counter, partitions = ReplayCounter.on(self._seen, "sent", dry_run), self._partitions()
        if not dry_run:
            self._sent.read()
        before, sender = self._before(), Sender(self.consumer, producer, counter)
        left = Counter(record.partition for record, _ in self._pairs)
        stops = {each.partition: each.stop for each in self._seen.ranges}
        counter.reached |= {partition: stop for partition, stop in stops.items() if not left[partition]}
        try:
            for record, letter in progress("Sending back", unit="dead letter", over=self._pairs):
                counter.reached[record.partition] = record.offset
                try:
                    out = self._back(letter, before, partitions)
                    sender.check(out)
                    if not dry_run:
                        sender.send(record, out)
                except Skip as reason:
                    counter.skip(record, reason)
                left[record.partition] -= 1
                if not left[record.partition]:
                    counter.reached[record.partition] = stops[record.partition]
            sender.finish()
        except BaseException as error:
            error.add_note(str(counter.report))
            raise
        return counter.report

    def _back(self, letter: DeadLetter, before: Marks, partitions: dict[str, set[int]]) -> Outgoing:
        if reason := self._reason(letter, before):
            raise Skip(reason, letter.coordinates)
        partition = letter.partition if letter.partition in partitions[letter.topic] else None
        headers = redriven(letter, self.addressed)
        return Outgoing(letter.topic, letter.key, letter.value, headers, None, partition)

    def _reason(self, letter: DeadLetter, before: Marks) -> str:
        """Why it is not sent; if it is, "", and it is among those that were sent before."""
        if self.addressed and not letter.group:
            return "for which group is not known"
        groups = groups_of(letter, before)
        if None in groups or (self.addressed and letter.group in groups):
            return "sent before"
        if groups and not (self.addressed or self.widen):
            return ADDRESSED
        before[letter.origin].add(letter.group if self.addressed else None)
        return ""

    def _before(self) -> Marks:
        return defaultdict(set, {origin: set(groups) for origin, groups in self._sent.marks.items()})

    def _partitions(self) -> dict[str, set[int]]:
        partitions = {topic: self.consumer.partitions_for_topic(topic) or set() for topic in self.topics}
        if missing := [topic for topic, there in partitions.items() if not there]:
            raise LabError(
                f"There is no topic {' and no topic '.join(missing)} any more.",
                f"dead letters in {self._seen.topic} came from there; nothing was sent",
                "make it again, with as many partitions as it had, and redrive; or choose other dead letters",
            )
        return partitions


def _read(consumer: KafkaConsumer, selection: Selection) -> tuple[list[Pair], ReplayReport]:
    pairs: list[Pair] = []

    def look(record: ConsumerRecord) -> None:
        try:
            pairs.append((record, unwrap(record)))
        except NotADeadLetterError as problem:
            raise Skip("no dead letter", str(problem)) from problem

    return pairs, choose(consumer, selection).look(look)


def _listed(pairs: Iterable[Pair], before: Marks, report: ReplayReport) -> Letters:
    return Letters(
        tuple(
            Found(
                coordinates_of(record),
                moment(record.timestamp),
                letter,
                bool({None, letter.group} & groups_of(letter, before)),
            )
            for record, letter in pairs
        ),
        report,
    )


def _of_letters(test: Callable[[DeadLetter], object]) -> Callable[[ConsumerRecord], object]:
    """A test of the dead letter in a record; what is none passes, to be counted as that."""

    def passes(record: ConsumerRecord) -> object:
        try:
            return test(unwrap(record))
        except NotADeadLetterError:
            return True

    return passes


def _text(key: bytes | None) -> str:
    return UNKNOWN if key is None else key.decode(errors="backslashreplace")
