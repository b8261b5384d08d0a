"""Redrive: dead letters go back to their original topics, to be processed after all. Lesson 10.

A redriven record is the original one: key, value and headers, so the event keeps its id. It goes into its original
partition, with the time of sending as timestamp: with the old one, retention could delete it at once. It carries a
mark, `redrive_origin`. Every group that reads the topic gets it, even one that has processed it already. If it is
addressed to the group that failed (`redrive_group`), other groups skip it, provided they check that header as the lab's
worker does.

Nothing is sent twice, as far as the topic shows: a mark there says that its record was sent before. So an interrupted
redrive is simply run again. What was addressed to one group goes to all only with `widen`: that group would get it
twice. A redrive cannot know of copies that retention or compaction has removed, nor of another redrive at the same
moment, and a consumer can always get a record twice. The inbox is still needed.
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
from labsupport.history.replay_report import ReplayCounter, ReplayReport, coordinates_of
from labsupport.history.scan import look, require_free
from labsupport.history.selection import Selection, resolve
from labsupport.history.sent_before import Marks, Pair, Sent, groups_of

if TYPE_CHECKING:
    import pandas

UNKNOWN = "–"
ADDRESSED = "sent before, to one group only"  # why a letter is skipped that would now go to all groups


@dataclass(frozen=True)
class Found:
    """A dead letter in its topic, at `coordinates` (topic/partition/offset) since `written`.

    `sent`: whether it was sent back before, to all groups or to its own. `written` is None if its timestamp is invalid.
    """

    coordinates: str
    written: datetime | None
    letter: DeadLetter
    sent: bool = False


@dataclass(frozen=True)
class Letters:
    """The selected dead letters, in their order. `report` also counts records that are not dead letters."""

    found: tuple[Found, ...]
    report: ReplayReport = field(repr=False)

    @property
    def by_error(self) -> dict[str, int]:
        """How many there are per error class (or per cause's class, if a tool names it), most frequent first."""
        return dict(Counter(each.letter.reason or UNKNOWN for each in self.found).most_common())

    @property
    def table(self) -> "pandas.DataFrame":
        """A row per letter: its coordinates (index), its record's as `origin`, and what is known; the key as text."""
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
    **more: Any,
) -> Selection:
    """Select the dead letters of `topic`, a dead letter topic, that meet every given condition.

    `error` is a part of the error's class, of its cause's class or of its message; `group` is the group that could not
    process the record. The rest is as in `Selection`: `keys` and `types` are the original's, `since` and `before` refer
    to when the dead letter was written, and `where` gets the record that holds it.
    """
    tests: dict[str, Callable[[ConsumerRecord], object]] = {}
    if error:
        tests["error"] = _of_letters(lambda letter: error in f"{letter.error}: {letter.message}\n{letter.cause}")
    if group:
        tests["group"] = _of_letters(lambda letter: group == letter.group)
    return Selection(topic, where=where, tests=tests, **more)


def letters(consumer: KafkaConsumer, selection: Selection) -> Letters:
    """The selected dead letters, and whether each was sent back before.

    The consumer has no topics of its own and commits nothing. Raises LabError if there is no such topic.
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
    """Plan a redrive of the selected dead letters. Later letters are not part of it.

    With `addressed`, each goes only to the group that could not process it. Of several dead letters of one record, one
    is sent (addressed: one per group). With `widen`, records that were sent to one group before are sent to all. The
    consumer is as in `letters`, and is needed until the plan was sent. `allow(topic)` is called first, with each
    original topic, and raises to forbid it. Raises LabError if a topic does not exist.
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
    """Send the selected dead letters to their original topics, as `plan` says. Those that were sent before are skipped.

    A dry run does everything except sending. A KafkaProducer skips what it cannot send; a ConfluentProducer sends
    everything as it was. Raises LabError, before anything is sent, if an original topic is missing; and the client's
    error for the first record that was not acknowledged, with the report as a note.
    """
    return plan(consumer, selection, addressed=addressed, widen=widen).send(producer, dry_run=dry_run)


class Plan:
    """Dead letters to send back; made by `plan`.

    `letters` lists them, `topics` are their original topics, `report` says what would be sent.
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
        """Send what was planned, except what has been sent back since. Raises as `redrive` does."""
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
        """Why the letter is not sent; "" if it is, and then it counts as sent before."""
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
                "create it again, with as many partitions as it had, and redrive; or select other dead letters",
            )
        return partitions


def _read(consumer: KafkaConsumer, selection: Selection) -> tuple[list[Pair], ReplayReport]:
    pairs: list[Pair] = []

    def see(record: ConsumerRecord) -> None:
        try:
            pairs.append((record, unwrap(record)))
        except NotADeadLetterError as problem:
            raise Skip("no dead letter", str(problem)) from problem

    require_free(consumer)
    return pairs, look(consumer, selection, resolve(consumer, selection), see)


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
    """A test of the dead letter in a record. Other records pass, so that they are counted as no dead letters."""

    def passes(record: ConsumerRecord) -> object:
        try:
            return test(unwrap(record))
        except NotADeadLetterError:
            return True

    return passes


def _text(key: bytes | None) -> str:
    return UNKNOWN if key is None else key.decode(errors="backslashreplace")
