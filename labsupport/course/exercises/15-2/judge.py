"""15-2: a wait for a read model: for the right group and partition, for the record itself, and not for ever."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from kafka.producer.future import RecordMetadata

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.exercises.groups import commit, fresh_group
from labsupport.course.lab import Lab
from labsupport.course.submission import Failed, Submission, TryAgain, shown

RECORDS = 12  # in each of two partitions
PATIENT = 300.0  # seconds: a limit that no answer reaches, because its time is up before that
LOOKS = 12  # until the slow reader has passed
LONG = 1.5  # seconds: what one look takes there, for an answer with a limit of its own
SHORTEST = 0.005  # seconds: a pause, be it shorter than the 0.05 of the task
MOST = 3  # looks of a right answer if the first one takes longer than the limit: before, at and after its end

Offsets = dict[int, int]  # by partition


@dataclass
class Reader:
    """The page's group and another one. Before each look, the next of `steps` is committed: the group's offsets.

    The group has committed `elsewhere` in another topic. `takes` has the seconds of slow looks, by number from 1.
    """

    lab: Lab
    topic: str
    steps: Sequence[Offsets]
    other: Offsets = field(default_factory=dict)
    elsewhere: Offsets = field(default_factory=dict)
    takes: Mapping[int, float] = field(default_factory=dict)
    looks: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)  # seconds between two looks
    asking: bool = False

    def __post_init__(self) -> None:
        self.group = fresh_group(self.lab, "page", self.elsewhere, _elsewhere(self.topic))
        fresh_group(self.lab, "mail", self.other, self.topic)
        self.now: Offsets = {}
        self.ended = 0.0

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """What the broker has for this group."""
        if group == self.group:
            self._next_look()
        self.asking = True
        found = self.lab.ask(f"what {group} has committed", lambda admin: admin.list_group_offsets(group)[group])
        self.asking = False
        offsets = {(each.topic, each.partition): value.offset for each, value in found.items()}
        if group == self.group:
            self.looks.append(self._short(offsets))
            self.ended = time.monotonic()
        return offsets

    def has(self, sent: RecordMetadata) -> bool:
        """Whether the page's group has processed the record."""
        return self.now.get(sent.partition, 0) > sent.offset

    @property
    def story(self) -> str:
        """All looks; equal ones share a line."""
        lines, number = [], 1
        for shown_then, same in groupby(self.looks):
            last = number + len(list(same)) - 1
            lines.append(f"look {number}{f' to {last}' if last > number else ''}: {shown_then}")
            number = last + 1
        return "\n".join(lines) or "(it never asked for the page's group)"

    def _next_look(self) -> None:
        if self.looks:
            self.pauses.append(time.monotonic() - self.ended)
        time.sleep(self.takes.get(len(self.looks) + 1, 0))
        if len(self.looks) < len(self.steps):
            commit(self.lab, self.topic, self.group, step := self.steps[len(self.looks)])
            self.now |= step

    def _short(self, offsets: dict[tuple[str, int], int]) -> str:
        others = {True: "", False: "another topic's "}
        entries = [
            f"{others[topic == self.topic]}partition {number}: {at}" for (topic, number), at in sorted(offsets.items())
        ]
        return ", ".join(entries) or "nothing"


def _elsewhere(topic: str) -> str:
    return f"{topic}-other"


def _judge(answer: Submission, lab: Lab) -> str:
    topic = lab.topic(CHECKED, partitions=2)
    sent = _send(lab, topic)
    _passes(answer, Reader(lab, topic, [{1: 8}]), sent[1][7], limit=0.0, what="the group has passed the record already")
    slow = Reader(lab, topic, [{0: 1, 1: 1}] * (LOOKS - 1) + [{0: 12}], takes={LOOKS - 1: LONG})
    _passes(answer, slow, sent[0][9], what="a slow reader, which then jumps to the end of this partition alone")
    _require_pauses(slow, _facts(slow, sent[0][9], PATIENT, "a slow reader", result=True))
    at_first = Reader(lab, topic, [{}, {}, {0: 1}])
    _passes(answer, at_first, sent[0][0], what="at first the group has committed nothing")
    _passes(
        answer, Reader(lab, topic, [{1: 7}, {1: 7}, {1: 8}]), sent[1][7], what="at first the record is next to read"
    )
    one_is_done = Reader(lab, topic, [{0: 12}, {0: 12}, {0: 12, 1: 4}])
    _passes(answer, one_is_done, sent[1][3], what="the other partition is at its end")
    behind = Reader(lab, topic, [{0: 2}, {0: 4}, {0: 6}], other={0: 12, 1: 12})
    _passes(answer, behind, sent[0][5], what="another group is at the end")
    lab.topic(_elsewhere(CHECKED), partitions=2)
    two_topics = Reader(lab, topic, [{}, {1: 3}, {1: 5}], elsewhere={0: 12, 1: 12})
    _passes(answer, two_topics, sent[1][4], what="the group reads two topics, and is at the end of the other one")
    too_late = Reader(lab, topic, [{0: 12, 1: 7}], takes={1: 0.5})
    _gives_up(answer, too_late, sent[1][7], limit=0.4)
    _gives_up(answer, Reader(lab, topic, [{0: 12, 1: 7}]), sent[1][7], limit=0.4)
    _gives_up(answer, Reader(lab, topic, [{}]), sent[0][2], limit=0.0)
    return "It waited for the right record in seven stories, and gave up in three, at the limit."


def _send(lab: Lab, topic: str) -> dict[int, list[RecordMetadata]]:
    """The metadata of RECORDS records in each of two partitions, in order."""
    producer = lab.producer(name="check", max_block_ms=3_000)
    sending = {number: [producer.send(topic, b"order", partition=number) for _ in range(RECORDS)] for number in (0, 1)}
    return {number: [each.get(timeout=60) for each in all_of_it] for number, all_of_it in sending.items()}


def _passes(answer: Submission, reader: Reader, sent: RecordMetadata, *, limit: float = PATIENT, what: str) -> None:
    """The group passes the record at the last of the reader's steps."""
    on_time = f"the limit is {limit:g} s, and after look {len(reader.steps)} the record is processed"
    try:
        result = _call(answer, reader, sent, limit, what)
    except Failed as failed:
        if not _had_not_ended(failed):
            raise
        raise failed.but(rule=on_time, look_at=_what_is_missed(reader, sent)) from None
    facts = _facts(reader, sent, limit, what, result)
    if result and not reader.has(sent):
        raise TryAgain(
            says="It returned True, and the page does not have the record yet.",
            rule="the record is processed when the page's group has committed more than its offset, in its partition",
            look_at=_what_is_too_early(reader, sent),
            **facts,
        )
    if not result:
        done = reader.has(sent)
        raise TryAgain(
            says=f"It returned False, and the page's group {'has processed the record' if done else 'was on its way'}.",
            rule=on_time,
            look_at=("with a limit of 0 it looks once: " if limit == 0 else "") + _what_is_missed(reader, sent),
            **facts,
        )


def _what_is_too_early(reader: Reader, sent: RecordMetadata) -> str:
    if not reader.looks:
        also = ", and another group's offsets say nothing about this page" if reader.other else ""
        return f"does it ask for what this group has committed? A fixed sleep is no wait for anything{also}"
    if reader.now.get(sent.partition) == sent.offset:
        return "committed is the next offset to read: at the record's own offset it is not processed yet"
    return (
        "whose offset do you compare, of which topic, and of which partition? Where nothing is committed, there is none"
    )


def _what_is_missed(reader: Reader, sent: RecordMetadata) -> str:
    if not reader.looks:
        return "which group do you ask for, and before what?"
    if reader.has(sent):
        return "whose offset do you compare, of which topic, of which partition, and is it more than the record's?"
    return "what ends the wait: the clock, or something else? Each look must ask the broker again"


def _require_pauses(reader: Reader, facts: dict[str, Any]) -> None:
    """Holds on every machine, because a sleep never ends early. A pause too long could be the machine's fault."""
    if statistics.median(reader.pauses) < SHORTEST:
        raise TryAgain(
            says="It looks again without a pause.",
            rule="0.05 s between two looks: the broker has others to serve",
            look_at="is there a pause in each round of the loop?",
            **facts,
        )


def _gives_up(answer: Submission, reader: Reader, sent: RecordMetadata, limit: float) -> None:
    """The group never passes the record."""
    what = "the page's reader is dead" + (f", and look 1 takes {reader.takes[1]:g} s" if reader.takes else "")
    begin = time.monotonic()
    try:
        result = _call(answer, reader, sent, limit, what)
    except Failed as failed:
        if _had_not_ended(failed):
            raise failed.but(
                rule=f"the limit is {limit:g} s: a page must not wait for ever for a reader that is dead",
                look_at="what ends the wait if the group never gets there?",
            ) from None
        raise failed.but(rule=f"it returns False if the record is not processed after {limit:g} s") from None
    waited = time.monotonic() - begin
    facts = _facts(reader, sent, limit, what, result)
    if result:
        raise TryAgain(
            says="It returned True, and the page never gets the record.",
            rule="committed is the next offset to read: at the record's own offset it is not processed yet",
            look_at="what does it return when the limit is reached?",
            **facts,
        )
    if waited < limit:
        raise TryAgain(
            says=f"It gave up after {waited:.2f} s, before its limit.",
            rule=f"the limit is {limit:g} s",
            look_at="what ends the wait: a number of looks, or the clock?",
            **facts,
        )
    if not reader.looks:
        raise TryAgain(
            says="It gave up without a look at what the page's group has committed.",
            rule="it looks at least once",
            look_at="which group do you ask for?",
            **facts,
        )
    if reader.takes and len(reader.looks) > MOST:
        raise TryAgain(
            says=f"It looked {len(reader.looks)} times, and look 1 alone took longer than the limit.",
            rule=f"the limit is {limit:g} s, however long a look takes",
            look_at="what ends the wait: a number of looks, or the clock?",
            **facts,
        )


def _call(answer: Submission, reader: Reader, sent: RecordMetadata, limit: float, what: str) -> bool:
    def committed(group: str) -> dict[tuple[str, int], int]:  # a function: arguments of this kind are not copied
        return reader.committed(group)

    try:
        return answer(sent, reader.group, committed, limit, returns=bool, asks="True or False")
    except Failed as failed:
        fields = failed.fields | {"given": _told(sent, limit, what), "story": reader.story}
        # an error of the answer's own, such as TimeoutError, is not this machine's
        raise Failed(timed=failed.timed and reader.asking, **fields) from failed.error
    except TryAgain as wrong:
        raise wrong.but(given=_told(sent, limit, what), story=reader.story) from None


def _had_not_ended(failed: Failed) -> bool:
    return "had not ended" in str(failed.fields.get("says"))


def _facts(reader: Reader, sent: RecordMetadata, limit: float, what: str, result: bool) -> dict[str, Any]:
    return {"given": _told(sent, limit, what), "came_back": shown(result), "story": reader.story}


def _told(sent: RecordMetadata, limit: float, what: str) -> str:
    return f"{what}; the record has offset {sent.offset} of partition {sent.partition}, the limit is {limit:g} s"


EXERCISE = Exercise(
    id="15-2",
    title="Wait for the page",
    difficulty="medium",
    minutes=7,
    call="wait_for(sent, group, committed, limit)",
    hints=(
        "Which number tells that the record at offset 7 is processed: a committed offset of 7, or of 8?",
        "`committed(group).get((sent.topic, sent.partition), 0) > sent.offset` is the condition. Look, and if it does "
        "not hold, see whether the time is over; then pause and look again.",
        "`end = time.monotonic() + limit` before a `while not passed():` loop, in which `if time.monotonic() >= end: "
        "return False` comes before `time.sleep(0.05)`. After the loop, return True.",
    ),
    explanation="Committed is the next offset to read, so it must exceed the record's. A fixed sleep is too long when "
    "all is well, and too short otherwise. The limit is for the day on which the reader is dead: then the page says so "
    "instead of loading for ever.",
    judge=_judge,
    seconds=3.0,
    points_at=("ep-5",),
)
