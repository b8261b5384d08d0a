"""Exercises of lesson 12, where history ends."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import InvalidConfigurationError, InvalidRequestError

from labsupport.course.answer import Answer, TryAgain, shown
from labsupport.course.exercise import CHECKED, Exercise, Wrong, through_kafka
from labsupport.experiments import log

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

# 12-1

DAY = 86_400_000  # milliseconds
SEGMENTS = 1_000  # of a partition, at most
# (every event?, days that a reader may be away, days after which an event must be gone), the simple ones first.
NEEDS = (
    (True, 1, None),
    (True, 7, None),
    (True, 30, None),
    (True, 400, None),
    (True, 2, 30),
    (True, 20, 24),
    (True, 28, 30),
    (True, 1, 2),
    (False, 1, None),
    (False, 4, None),
    (False, 60, None),
)


def _settings(answer: Answer, lab: "Lesson") -> str:
    """Each need: the broker says whether it takes the settings, and what holds for those that were left out."""
    topic = lab.topic(CHECKED, retention_ms=7 * DAY)  # Kafka's own; the lab's topics keep everything
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    found = lab.ask("its settings", lambda admin: admin.describe_configs([resource], config_filter="all"))
    defaults = {name: entry["value"] for name, entry in found["topic"][topic].items()}
    first: dict[tuple, dict] = {}
    for need in (*NEEDS, *reversed(NEEDS)):
        chosen = answer(*need, returns=dict)
        settings = {str(name).replace("_", "."): str(value) for name, value in chosen.items()}
        given = answer.called(*need)
        _require_taken(lab, settings, given, chosen)
        if problem := _problem(Effective.of(defaults | settings), *need):
            says, broken, look_at = problem
            raise TryAgain(says=says, given=given, came_back=shown(chosen), broken=broken, look_at=look_at)
        if first.setdefault(need, settings) != settings:
            raise TryAgain(
                says="The same need was met otherwise before.",
                given=given,
                came_back=f"{shown(chosen)}; before: {shown(first[need])}",
                broken="what one topic needs is no matter of another",
                look_at="what is kept from call to call: a default argument, or a variable outside of the function?",
            )
    return f"The broker takes them, and they meet all {len(NEEDS)} needs, whatever was left out."


def _require_taken(lab: "Lesson", settings: dict[str, str], given: str, chosen: dict) -> None:
    """Ask the broker whether it would make such a topic."""
    topic = NewTopic(f"{lab.namespace}{CHECKED}-chosen", 1, -1, topic_configs=settings)
    try:
        lab.admin().create_topics([topic], validate_only=True)
    except (InvalidConfigurationError, InvalidRequestError) as error:
        raise TryAgain(
            says="The broker does not take these settings.",
            given=given,
            came_back=shown(chosen),
            broken=f"it says: {_broker_says(error)}",
            look_at="names as Kafka has them, and whole numbers of milliseconds",
        ) from None


def _broker_says(error: Exception) -> str:
    """The broker's own sentence, without the request that the client wraps it in."""
    found = re.search(r"error_message=(['\"])(.*?)\1[,)]", str(error))
    return (found[2] if found else str(error))[:200]


@dataclass(frozen=True)
class Effective:
    """What holds for a topic. Times in days; infinite where Kafka has -1."""

    compacts: bool
    deletes: bool
    retention: float
    segment: float
    tombstones: float
    limited_in_size: bool

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> "Effective":
        """From the settings as the broker tells them, laid under those that were chosen."""
        policies = {word.strip() for word in settings["cleanup.policy"].split(",")}
        retention = int(settings["retention.ms"])
        return cls(
            "compact" in policies,
            "delete" in policies,
            retention / DAY if retention >= 0 else float("inf"),
            int(settings["segment.ms"]) / DAY,
            # Until it may be cleaned, and from its first cleaning on.
            (int(settings["min.compaction.lag.ms"]) + int(settings["delete.retention.ms"])) / DAY,
            int(settings["retention.bytes"]) >= 0,
        )


def _problem(topic: Effective, every: bool, away: int, gone_after: int | None) -> tuple[str, str, str] | None:
    """What is wrong: the sentence, the property that is broken, what to look at; None if nothing is."""
    span = topic.retention if topic.deletes and topic.retention < float("inf") else away
    if span / topic.segment > SEGMENTS:
        says = f"In {_days(span)} a partition gets {span / topic.segment:,.0f} segments."
        broken = f"each segment is three files, which the broker keeps open; {SEGMENTS:,} are enough"
        return says, broken, "segment.ms: how small must it be, and how large may it be?"
    if topic.deletes and topic.limited_in_size:
        says = "A busy day may fill it: then the oldest records go, whatever their age."
        return says, "the need is one of time, not of size", "leave retention.bytes as it is"
    if not every:
        return _problem_of_a_state(topic, away)
    if topic.compacts:
        says = "Of each key only the last event would be left."
        return says, "every event was asked for, also the earlier ones of a key", "cleanup.policy"
    kept = topic.retention if topic.deletes else float("inf")
    if kept < away:
        says = f"An event may be gone after {_days(kept)}, and a reader may be away for {away}."
        return says, "what is gone when a reader comes back, it never gets", "retention.ms: Kafka's is 7 days"
    longest = kept + topic.segment
    if gone_after is not None and longest > gone_after:
        says = f"An event can be there for {_days(longest)}; it must be gone after {gone_after}."
        broken = (
            "a segment goes as a whole, when its newest event is too old: its oldest is then up to "
            f"retention.ms + segment.ms old, {kept:g} + {topic.segment:g} days"
        )
        if kept == float("inf"):
            says, broken = "An event stays for ever here.", f"it must be gone after {gone_after} days"
        return says, broken, "which two settings add up? What is Kafka's segment.ms?"
    return None


def _days(number: float) -> str:
    return f"{number:g} day{'s' * (number != 1)}"


def _problem_of_a_state(topic: Effective, away: int) -> tuple[str, str, str] | None:
    if not topic.compacts:
        says = "Earlier records of a key are not dropped here."
        return says, "only the last of each key was asked for", "cleanup.policy"
    if topic.deletes and topic.retention < float("inf"):
        says = f"A key that has not changed for {_days(topic.retention)} may disappear."
        return says, "the last of each key was asked for, however old it is", "cleanup.policy: what does `delete` add?"
    if topic.tombstones < away:
        says = f"A tombstone may be gone after {_days(topic.tombstones)}, and a reader may be away for {away}."
        return says, "who misses the tombstone keeps the key for ever", "delete.retention.ms: Kafka's is 1 day"
    return None


# 12-2

KEYS = ("AAB", "CAC")  # by partition, the keys of its records: A is from before the topic grew (lesson 02)
ENDS = ((3, 3), (2, 3), (3, 2))  # by partition, how many of them there are: in one case after the other


def _restore(answer: Answer, lab: "Lesson") -> str:
    """A real topic whose beginning moves on: each snapshot of it with what is left then, the simple ones first."""
    tried = 0
    for case in sorted(_cases(lab), key=lambda case: case.simplicity):
        came_back = answer(case.snapshot, case.records, case.begins, returns=(dict, NoneType), asks="a dict, or None")
        _compare(case, came_back)
        tried += 1
    return f"Right for all {tried} snapshots, with what a real topic still held; the holes were seen, too."


@dataclass(frozen=True)
class Case:
    """A snapshot, and what the topic still holds. `wanted` is what comes out; None if there is a hole."""

    snapshot: dict[str, Any]
    records: tuple[ConsumerRecord, ...]
    begins: dict[int, int]
    wanted: dict[str, int] | None

    @property
    def simplicity(self) -> tuple:
        """Without a hole first, then with little deleted, then with little in the snapshot."""
        deleted, known = sum(self.begins.values()), self.snapshot["next"]
        return (self.wanted is None, deleted, sum(known.values()), len(known) == 1, sorted(known.items()))


def _cases(lab: "Lesson") -> Iterator[Case]:
    sent = [{"key": key.encode(), "partition": number} for number, keys in enumerate(KEYS) for key in keys]
    held = through_kafka(lab, sent, partitions=len(KEYS))
    whole, number = held.records, 0
    for deleted in ({}, {0: 1}, {1: 2}, {0: 3}):
        if deleted:
            lab.admin().delete_records({TopicPartition(held.topic, number): at for number, at in deleted.items()})
            held = log.read(lab, held.topic)
        for places in itertools.product(*(range(len(keys) + 1) for keys in KEYS)):
            number += 1
            ends = [max(pair) for pair in zip(ENDS[number % len(ENDS)], places, strict=True)]
            yield _case(held, [record for record in whole if record.offset < ends[record.partition]], places, number)


def _case(held: log.Log, whole: Sequence[ConsumerRecord], places: Sequence[int], number: int) -> Case:
    """The snapshot that was taken at `places`, of keys that no other case has; what `held` still has of the whole."""

    def named(records: Iterable[ConsumerRecord]) -> list[ConsumerRecord]:
        return [record._replace(key=b"%s%d" % (record.key, number)) for record in records]

    known = {number: place for number, place in enumerate(places) if place}
    state = _counted(named(record for record in whole if record.offset < places[record.partition]))
    hole = any(begin > places[number] for number, begin in held.begins.items())
    # As a consumer might hand them out: partition 1 first.
    left = sorted(named(record for record in held.records if record in whole), key=lambda record: -record.partition)
    return Case(
        {"state": state, "next": known}, tuple(left), dict(held.begins), None if hole else _counted(named(whole))
    )


def _counted(records: Iterable[ConsumerRecord]) -> dict[str, int]:
    return dict(Counter(record.key.decode() for record in records))


def _compare(case: Case, came_back: Mapping[str, int] | None) -> None:
    if came_back == case.wanted:
        return
    known = case.snapshot["next"]
    left = [f"partition {record.partition}, offset {record.offset}: {log.text(record.key)}" for record in case.records]
    if case.wanted is None:
        number = next(number for number, begin in case.begins.items() if begin > known.get(number, 0))
        says = "There is a hole: None was to come back."
        broken = (
            f"partition {number} begins at {case.begins[number]}, the snapshot goes on at {known.get(number, 0)}: "
            "what was between them is in neither"
        )
        look_at = "where does each partition begin, and where does the snapshot go on?"
    elif came_back is None:
        says = "Nothing is missing here."
        broken = "a log may begin anywhere, as long as the snapshot has what was before"
        look_at = "compare the two, partition by partition"
    else:
        says, broken, look_at = _difference(case.wanted, came_back)
    raise TryAgain(
        says=says,
        given=f"snapshot = {case.snapshot}\nbegins = {case.begins}",
        story="\n".join(left) or "(the topic holds no record)",
        came_back=shown(came_back),
        broken=broken,
        look_at=look_at,
    )


def _difference(wanted: Mapping[str, int], came_back: Mapping[str, int]) -> tuple[str, str, str]:
    if strange := [key for key in came_back if key not in wanted]:
        says = f"There is no key {shown(strange[0])}."
        look_at = "record.key.decode()"
        if isinstance(strange[0], str):
            look_at = "what is left from an earlier call: does the state begin with this snapshot's, and nothing else?"
        return says, "a key is text, from this snapshot or from these records", look_at
    key = next(key for key in sorted(wanted) if came_back.get(key, 0) != wanted[key])
    count = came_back.get(key, 0)
    says = f"{key} had {wanted[key]} event{'s' * (wanted[key] != 1)}, and {shown(count)} came out."
    if isinstance(count, int) and count > wanted[key]:
        broken = "an event that is in the snapshot is counted twice"
        return says, broken, "`next` is the first offset of its partition that is not in the snapshot"
    broken = "an event is missing: each is in the snapshot, or comes after it"
    return says, broken, "does the state begin with the snapshot's, and is the record at `next` counted?"


def _chosen(body: str) -> str:
    return f"DAY = 24 * 60 * 60 * 1000\n\n\ndef topic_settings(every_event, away, gone_after):\n{body}"


COMPACT = "    if not every_event:\n        return {'cleanup.policy': 'compact', 'delete.retention.ms': away * DAY}\n"


def _restored(body: str) -> str:
    return f"def restore(snapshot, records, begins):\n{body}"


HOLE = "    if any(begin > snapshot['next'].get(number, 0) for number, begin in begins.items()):\n        return None\n"
OWN = "    state = dict(snapshot['state'])\n"
COUNT = "            key = record.key.decode()\n            state[key] = state.get(key, 0) + 1\n    return state"


# fmt: off
EXERCISES = (
    Exercise(
        id="12-1",
        title="Kept long enough, and not too long",
        difficulty="medium",
        minutes=6,
        call="topic_settings(every_event, away, gone_after)",
        stub='''def topic_settings(every_event, away, gone_after):
    """The topic's settings, such as {"retention.ms": 3_600_000}."""
    return ...''',
        hints=(
            "How old is the oldest event of a segment when the segment goes? And how old must the youngest be?",
            "`retention.ms` is at least `away`; `retention.ms` and `segment.ms` together are at most `gone_after`.",
            "Where only the last of each key counts: `cleanup.policy` is `compact`, and `delete.retention.ms` says how "
            "long a tombstone can be seen."),
        reference='''DAY = 24 * 60 * 60 * 1000


def topic_settings(every_event, away, gone_after):
    """The topic's settings, such as {"retention.ms": 3_600_000}."""
    if not every_event:
        return {"cleanup.policy": "compact", "delete.retention.ms": away * DAY}
    settings = {"cleanup.policy": "delete", "retention.ms": away * DAY}
    if gone_after is not None:
        settings["segment.ms"] = (gone_after - away) * DAY
    return settings''',
        explanation="Retention is a promise in one direction: what is younger is kept. How much longer it stays is "
        "decided by the segments. A compacted topic keeps the last of each key without any time; there the tombstones "
        "are what must be kept until everybody has seen them. (The broker looks every five minutes: leave it some.)",
        wrong=(
            Wrong("Kafka's defaults are long enough", _chosen(
                "    return {'cleanup.policy': 'delete' if every_event else 'compact'}"),
                "gone after 7 days, and a reader may be away for 30"),
            Wrong("retention is when an event is gone", _chosen(
                f"{COMPACT}    return {{'retention.ms': (gone_after or away) * DAY}}"),
                "An event can be there for 37 days"),
            Wrong("as short as the readers allow is short enough", _chosen(
                f"{COMPACT}    return {{'retention.ms': away * DAY}}"), "retention.ms + segment.ms"),
            Wrong("kept for ever is always safe", _chosen(
                f"{COMPACT}    return {{'retention.ms': -1}}"), "stays for ever"),
            Wrong("compaction keeps what matters", _chosen(
                "    return {'cleanup.policy': 'compact', 'delete.retention.ms': away * DAY}"), "only the last event"),
            Wrong("seconds", _chosen(
                COMPACT.replace("DAY", "86400") + "    return {'retention.ms': away * 86400}"), "may be gone after"),
            Wrong("a compacted topic needs retention, too", _chosen(
                COMPACT.replace("'compact'", "'compact,delete', 'retention.ms': away * DAY")
                + "    return {'retention.ms': away * DAY, 'segment.ms': DAY}"), "may disappear"),
            Wrong("a tombstone is kept like any record", _chosen(
                "    if not every_event:\n        return {'cleanup.policy': 'compact'}\n"
                "    return {'retention.ms': away * DAY, 'segment.ms': DAY}"), "A tombstone may be gone after 1 day,"),
            Wrong("the smaller the segment, the sooner it is gone", _chosen(
                f"{COMPACT}    return {{'retention.ms': away * DAY, 'segment.ms': 1}}"), "86,400,000 segments"),
            Wrong("an hour is short enough for every segment", _chosen(
                f"{COMPACT}    return {{'retention.ms': away * DAY, 'segment.ms': 3_600_000}}"), "9,600 segments"),
            Wrong("what one topic needs holds for the next",
                _chosen("    settings['cleanup.policy'] = 'delete' if every_event else 'compact'\n"
                    "    settings['retention.ms' if every_event else 'delete.retention.ms'] = away * DAY\n"
                    "    if gone_after:\n        settings['segment.ms'] = (gone_after - away) * DAY\n"
                    "    return settings").replace("gone_after)", "gone_after, settings={})", 1),
                "from call to call"),
            Wrong("a setting is called as one likes", _chosen(
                "    return {'retention.days': away}"), "does not take these settings"),
        ),
        other_styles=(
            _chosen("    settings = dict(cleanup_policy='delete' if every_event else 'compact')\n"
                "    if every_event:\n        settings['retention_ms'] = str(int(away * DAY))\n"
                "        settings['segment_ms'] = str(DAY)\n"
                "    else:\n        settings['delete_retention_ms'] = 400 * DAY\n    return settings"),
            _chosen("    if not every_event:\n        return {'cleanup.policy': 'compact',\n"
                "            'min.compaction.lag.ms': away * DAY}\n"
                "    return {'retention.ms': away * DAY, 'segment.ms': DAY}"),
            _chosen("    if not every_event:\n        return {'cleanup.policy': 'compact,delete', 'retention.ms': -1,\n"
                "            'delete.retention.ms': away * DAY}\n"
                "    if gone_after is None:\n        return {'retention.ms': -1}\n"
                "    middle = (away + gone_after) * DAY // 2\n"
                "    return {'retention.ms': middle, 'segment.ms': gone_after * DAY - middle - 600_000}"),
        ),
        points_at=("ep-1", "ep-3"),
        judge=_settings,
    ),
    Exercise(
        id="12-2",
        title="From a snapshot",
        difficulty="medium",
        minutes=6,
        call="restore(snapshot, records, begins)",
        stub='''def restore(snapshot, records, begins):
    """How many events each key has had; None if some are missing."""
    return ...''',
        hints=(
            "Which of the records are in the snapshot already, and what says so?",
            "Count a record if its offset is not below `next` of *its* partition; a partition that is not there yet "
            "goes on at 0. Begin with a copy of the state.",
            "There is a hole if a partition begins behind the place at which the snapshot goes on."),
        reference='''from collections import Counter


def restore(snapshot, records, begins):
    """How many events each key has had; None if some are missing."""
    next_of = snapshot["next"]
    if any(begin > next_of.get(number, 0) for number, begin in begins.items()):
        return None
    state = Counter(snapshot["state"])
    for record in records:
        if record.offset >= next_of.get(record.partition, 0):
            state[record.key.decode()] += 1
    return state''',
        explanation="A snapshot is a state and the place where it goes on, one offset for each partition. What lies "
        "before that place is in it, whether the topic still has it or not. If the log begins behind it, something "
        "is in neither; a wrong number would look like a right one, so nothing comes back.",
        wrong=(
            Wrong("all that is left comes on top", _restored(f"{HOLE}{OWN}    for record in records:\n"
                f"        if True:\n{COUNT}"), "counted twice"),
            Wrong("next is the last one that is in it", _restored(f"{HOLE}{OWN}    for record in records:\n"
                f"        if record.offset > snapshot['next'].get(record.partition, -1):\n{COUNT}"),
                "an event is missing"),
            Wrong("one offset is enough for all partitions", _restored(f"{HOLE}{OWN}    for record in records:\n"
                f"        if record.offset >= max(snapshot['next'].values(), default=0):\n{COUNT}"),
                "an event is missing"),
            Wrong("what the topic has is the whole", _restored(f"{HOLE}    state = {{}}\n    for record in records:\n"
                f"        if True:\n{COUNT}"), "an event is missing"),
            Wrong("a hole does not matter", _restored(f"{OWN}    for record in records:\n"
                f"        if record.offset >= snapshot['next'].get(record.partition, 0):\n{COUNT}"),
                "There is a hole"),
            Wrong("a hole is where a log does not begin at 0", _restored("    if any(begins.values()):\n"
                f"        return None\n{OWN}    for record in records:\n"
                f"        if record.offset >= snapshot['next'].get(record.partition, 0):\n{COUNT}"),
                "Nothing is missing here"),
            Wrong("a snapshot knows every partition", _restored(f"{OWN}    for record in records:\n"
                f"        if record.offset >= snapshot['next'][record.partition]:\n{COUNT}"), "KeyError"),
            Wrong("a record's key is text", _restored(f"{HOLE}{OWN}    for record in records:\n"
                "        if record.offset >= snapshot['next'].get(record.partition, 0):\n"
                + COUNT.replace(".decode()", "")), "record.key.decode()"),
            Wrong("the answer is known already",
                _restored(f"{HOLE}    return {{'A': 3, 'B': 1, 'C': 2}}"), "There is no key"),
            Wrong("a state goes on where the last one was",
                "STATE = {}\n\n\n" + _restored(f"{HOLE}    state = STATE\n    state.update(snapshot['state'])\n"
                    "    for record in records:\n"
                    f"        if record.offset >= snapshot['next'].get(record.partition, 0):\n{COUNT}"),
                "There is no key"),
            Wrong("the snapshot itself is counted on", _restored(f"{HOLE}    state = snapshot['state']\n"
                "    for record in records:\n"
                f"        if record.offset >= snapshot['next'].get(record.partition, 0):\n{COUNT}"),
                "changed what it was given"),
        ),
        other_styles=(
            _restored("    place = {number: snapshot['next'].get(number, 0) for number in begins}\n"
                "    if any(begins[number] > place[number] for number in begins):\n        return None\n"
                "    new = [record.key.decode() for record in records if record.offset >= place[record.partition]]\n"
                "    keys = {*snapshot['state'], *new}\n"
                "    return {key: snapshot['state'].get(key, 0) + new.count(key) for key in keys}"),
            _restored(f"{HOLE}    from copy import deepcopy\n    state = deepcopy(snapshot)['state']\n"
                "    for record in records:\n"
                "        if record.offset < snapshot['next'].get(record.partition, 0):\n            continue\n"
                "        state.setdefault(record.key.decode(), 0)\n        state[record.key.decode()] += 1\n"
                "    return state"),
        ),
        judge=_restore,
    ),
)
# fmt: on
