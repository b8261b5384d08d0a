"""16-2: the diagnosis names the mistake and the events, and its repair makes the balance sheets even."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.console import counted, progress
from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.lab import Lab
from labsupport.course.outcomes import NotAttempted, TryAgain
from labsupport.course.submission import Submission
from labsupport.delivery import orders
from labsupport.delivery.reading import id_of
from labsupport.experiments.breaking import mornings
from labsupport.experiments.breaking.mornings import MAILS, NOTHING, PAYMENTS, SERVICES, TWICE, WRONG, Damage, Morning
from labsupport.experiments.watching import balance, log

from . import repairs
from .form import LEAVES, Claim, Finding, parse

REQUIRED = ("monday",)
IN_WORDS = {TWICE: "handled twice"}


def _diagnosed(answer: Submission, lab: Lab) -> str:
    """Each morning that is filled in, on a copy that happens now: the cause, the events, then the repair."""
    seed, findings = parse(answer(returns=str))
    if not findings:
        raise NotAttempted
    causes, repair = mornings.causes_of(seed), {}
    for finding in findings:
        repair[finding.day] = repairs.commands(finding, _names(lab, finding.day))
    for finding in findings:
        _require_cause(finding, causes[finding.day])
    said = [_judge(each, repair[each.day], lab, seed) for each in progress("Judging", unit="morning", over=findings)]
    if missing := [day for day in REQUIRED if day not in {finding.day for finding in findings}]:
        raise TryAgain(says=f"Right so far; {missing[0]} is still empty.", look_at=f"investigate {missing[0]}, too")
    return "\n".join(said)


def _require_cause(finding: Finding, cause: str) -> None:
    if finding.cause != cause:
        raise TryAgain(
            says=f"{finding.day}: this was not {finding.cause}.",
            given=f"line {finding.said['cause'].number}: cause: {finding.cause}",
            rule=f"{finding.cause} leaves {LEAVES[finding.cause]}",
            look_at="which of that do you find, and what else do you find that it does not leave?",
        )


def _names(lab: Lab, day: str) -> str:
    """What the names of the learner's morning begin with."""
    return f"{lab.prefix}{EXERCISE.id[:2]}-{day}-"


def _judge(finding: Finding, repair: Sequence[repairs.Command], lab: Lab, seed: int) -> str:
    morning = lab.morning(finding.day, seed, f"{CHECKED}-")
    try:
        records = log.read(lab, morning.topic).records
        for service in SERVICES:
            _Comparison(finding, service, mornings.damage(lab, morning, service), records).require()
        mailed = orders.effects(morning.databases[MAILS])
        repairs.run(lab, repair, _names(lab, finding.day), morning.topic.removesuffix("orders"))
        mornings.repaired(lab, morning)
        return f"{finding.day}, {finding.cause}, after your repair: " + _require_even(lab, finding, morning, mailed)
    finally:
        for file in morning.databases.values():
            file.unlink()


class _Comparison:
    """What the file says about a service, beside what happened to it."""

    def __init__(self, finding: Finding, service: str, damage: Damage, records: Sequence[ConsumerRecord]):
        self.claim: Claim = finding.claims[service]
        self.day, self.service, self.damage = finding.day, service, damage
        self.at = {f"{each.partition}/{each.offset}": each for each in records}

    def require(self) -> None:
        """Raise TryAgain at the first difference."""
        kind, said = self.damage.kind, self.claim.kind
        if kind != said:
            raise self._wrong(
                f"{self.day}: {said} is not what became of the events of {self.service}."
                if said != NOTHING
                else f"{self.day}: not all is well with {self.service}.",
                "draw up its balance sheet, with its own group, database and dead letters; if that is even, compare "
                "the orders in its database with their events",
            )
        named = {each: word for word in self.claim.events for each in self._meant(word)}
        if more := [word for each, word in named.items() if each not in self.damage.what]:
            others = f", nor {'is' if len(more) == 2 else 'are'} {len(more) - 1} more that you name" * (len(more) > 1)
            raise self._wrong(
                f"{self.day}: for {self.service}, {more[0]} is not {IN_WORDS.get(kind, kind)}{others}.",
                "what do the others have in common that this one does not have?",
            )
        if missing := self.damage.what - named.keys():
            noun = "order" if kind == WRONG else "event"
            raise self._wrong(
                f"{self.day}: {counted(len(missing), f'more {noun}')} of {self.service} "
                f"{'is' if len(missing) == 1 else 'are'} {IN_WORDS.get(kind, kind)}.",
                "count them in the balance sheet or in the database; for which events does your reason hold?",
            )

    def _meant(self, word: str) -> Iterator[str]:
        """The events' ids that a word of the file names, or their orders if it is about wrong orders."""
        found = [self.at[word]] if word in self.at else []
        if not found and "/" not in word:
            found = [each for each in self.at.values() if id_of(each).startswith(word) or _order(each) == word]
        if not found:
            raise self._wrong(
                f"{self.day}: there is no {word} in the topic.", "is it of this morning, and of this seed?"
            )
        if self.claim.kind != WRONG and word.startswith("ORD-"):
            raise self._wrong(
                f"{self.day}: {word} is an order, and has several events.", "name the events: partition/offset, or ids"
            )
        yield from (_order(each) if self.claim.kind == WRONG else id_of(each) for each in found)

    def _wrong(self, says: str, look_at: str) -> TryAgain:
        line = self.claim.line
        return TryAgain(says=says, given=f"line {line.number}: {line.text}", look_at=look_at)


def _order(record: ConsumerRecord) -> str:
    return log.text(record.key)


def _require_even(lab: Lab, finding: Finding, morning: Morning, mailed: Mapping[str, int]) -> str:
    """The balance sheets after the repair. Raises TryAgain if something is missing, wrong, or done once more."""
    given = "\n".join(line.text for line in finding.repair) or "repair: none"
    groups, databases = morning.groups, morning.databases
    sheets = {
        each: balance.read(lab, morning.topic, groups[each], databases[each], dead_letters=morning.dead_letters)
        for each in SERVICES
    }
    told: dict[str, Any] = {
        "given": given,
        "came_back": "\n".join(f"{service}: {sheet}" for service, sheet in sheets.items()),
    }
    again = {
        each: times for each, times in orders.effects(databases[MAILS]).items() if times > max(1, mailed.get(each, 0))
    }
    if again:
        raise TryAgain(
            says=f"{finding.day}: your repair sends {counted(len(again), 'mail')} once more.", **told,
            rule="mails cannot take back what it has sent: only what it has not handled may come to it",
            look_at="which groups get what your command sends back, and from where does each continue?",
        )  # fmt: skip
    for service, sheet in sheets.items():
        if left := sheet.count("produced") - sheet.count("processed"):
            raise TryAgain(
                says=f"{finding.day}: after your repair {counted(left, 'event')} still "
                f"{'has' if left == 1 else 'have'} no row in {service}.", **told,
                rule="a mended service handles what comes to it, and no more than that",
                look_at="does the command bring each of these events to this service again?",
            )  # fmt: skip
    if wrong := mornings.damage(lab, morning, PAYMENTS).what:
        raise TryAgain(
            says=f"{finding.day}: after your repair {counted(len(wrong), 'order')} in payments' database "
            f"{'is' if len(wrong) == 1 else 'are'} wrong.", **told,
            rule="the event that payments handles last decides the state of an order",
            look_at="in which order do the order's events come to payments now?",
        )  # fmt: skip
    return "; ".join(f"{service}: {sheet}" for service, sheet in sheets.items())


EXERCISE = Exercise(
    id="16-2",
    title="The incident",
    difficulty="hard",
    minutes=18,
    call="diagnosis()",
    file="diagnosis.md",
    hints=(
        "Whose balance sheet is not even? If both are: what does the database say that the events do not?",
        "Write down where the events lie that were hit (partition/offset). Are they neighbours? Do they have something "
        "in common? Are there copies of them? Then read the metrics: does a service count what its database has?",
        "Before you type a repair, ask what it does to mails, which cannot take anything back. A reset of the group of "
        "payments is harmless to mails; a redrive is so with `--only-its-group`.",
    ),
    explanation="The balance sheet says who was hit, the log what those events have in common, metrics and marks what "
    "happened. payments may get an event again, because it writes by ids: so its group is reset to before the damage. "
    "mails may not: a redrive is addressed, and what was mailed twice stays so. Try each command with --dry-run first.",
    judge=_diagnosed,
    points_at=("incident",),
)
