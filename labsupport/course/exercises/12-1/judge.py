"""12-1: the broker accepts the settings, and they keep events long enough and no longer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import InvalidConfigurationError, InvalidRequestError

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown

DAY = 86_400_000  # milliseconds

SEGMENTS = 1_000  # per partition, at most

# (every event?, days that a reader may be away, days after which an event must be gone), simple ones first.
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


def _settings(answer: Submission, lab: Lab) -> str:
    """For each need, the broker validates the settings and supplies the defaults of those left out."""
    topic = lab.topic(CHECKED, retention_ms=7 * DAY)  # Kafka's default; the lab's topics keep everything
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
            says, rule, look_at = problem
            raise TryAgain(says=says, given=given, came_back=shown(chosen), rule=rule, look_at=look_at)
        if first.setdefault(need, settings) != settings:
            raise TryAgain(
                says="Your function returned other settings for the same need before.",
                given=given,
                came_back=f"{shown(chosen)}; before: {shown(first[need])}",
                rule="one topic's settings must not depend on another's",
                look_at="what survives from call to call: a default argument, or a variable outside the function?",
            )
    return f"The broker accepts the settings, and they meet all {len(NEEDS)} needs."


def _require_taken(lab: Lab, settings: dict[str, str], given: str, chosen: dict) -> None:
    """Ask the broker whether it would create such a topic."""
    topic = NewTopic(f"{lab.namespace}{CHECKED}-chosen", 1, -1, topic_configs=settings)
    try:
        lab.admin().create_topics([topic], validate_only=True)
    except (InvalidConfigurationError, InvalidRequestError) as error:
        raise TryAgain(
            says="The broker does not accept these settings.",
            given=given,
            came_back=shown(chosen),
            rule=f"the broker says: {_broker_says(error)}",
            look_at="use Kafka's names, and whole numbers of milliseconds",
        ) from None


def _broker_says(error: Exception) -> str:
    """The broker's own sentence, without the request that the client wraps it in."""
    found = re.search(r"error_message=(['\"])(.*?)\1[,)]", str(error))
    return (found[2] if found else str(error))[:200]


@dataclass(frozen=True)
class Effective:
    """A topic's settings as they apply. Times in days; infinite where Kafka has -1."""

    compacts: bool
    deletes: bool
    retention: float
    segment: float
    tombstones: float
    limited_in_size: bool

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> "Effective":
        """From the broker's defaults, overridden by the chosen settings."""
        policies = {word.strip() for word in settings["cleanup.policy"].split(",")}
        retention = int(settings["retention.ms"])
        return cls(
            "compact" in policies,
            "delete" in policies,
            retention / DAY if retention >= 0 else float("inf"),
            int(settings["segment.ms"]) / DAY,
            # until the cleaner may see it, and from its first cleaning on
            (int(settings["min.compaction.lag.ms"]) + int(settings["delete.retention.ms"])) / DAY,
            int(settings["retention.bytes"]) >= 0,
        )


def _problem(topic: Effective, every: bool, away: int, gone_after: int | None) -> tuple[str, str, str] | None:
    """The sentence, the broken rule and what to look at; None if the settings meet the need."""
    span = topic.retention if topic.deletes and topic.retention < float("inf") else away
    if span / topic.segment > SEGMENTS:
        says = f"In {_days(span)} a partition gets {span / topic.segment:,.0f} segments."
        rule = f"each segment is three files that the broker keeps open; {SEGMENTS:,} segments are enough"
        return says, rule, "how small must segment.ms be, and how large may it be?"
    if topic.deletes and topic.limited_in_size:
        says = "A busy day may fill it, and then Kafka deletes the oldest records, whatever their age."
        return says, "the need is about time, not size", "leave retention.bytes as it is"
    if not every:
        return _problem_of_a_state(topic, away)
    if topic.compacts:
        says = "Only the last event of each key would remain."
        return says, "every event is needed, also earlier ones of the same key", "cleanup.policy"
    kept = topic.retention if topic.deletes else float("inf")
    if kept < away:
        says = f"An event may be gone after {_days(kept)}, and a reader may be away for {away}."
        return (
            says,
            "a reader never gets events that are gone when it comes back",
            "Kafka's default for retention.ms is 7 days",
        )
    longest = kept + topic.segment
    if gone_after is not None and longest > gone_after:
        says = f"An event can stay for {_days(longest)}, and must be gone after {gone_after}."
        rule = (
            "a segment is deleted as a whole, when its newest event is too old: its oldest is then up to "
            f"retention.ms + segment.ms old, {kept:g} + {topic.segment:g} days"
        )
        if kept == float("inf"):
            says, rule = (
                "An event stays for ever with these settings.",
                f"an event must be gone after {gone_after} days",
            )
        return says, rule, "which two settings add up? What is Kafka's default for segment.ms?"
    return None


def _days(number: float) -> str:
    return f"{number:g} day{'s' * (number != 1)}"


def _problem_of_a_state(topic: Effective, away: int) -> tuple[str, str, str] | None:
    if not topic.compacts:
        says = "Earlier records of a key are not removed."
        return says, "only the last record of each key is needed", "cleanup.policy"
    if topic.deletes and topic.retention < float("inf"):
        says = f"A key that has not changed for {_days(topic.retention)} may disappear."
        return (
            says,
            "the last record of each key is needed, however old it is",
            "what does `delete` in cleanup.policy add?",
        )
    if topic.tombstones < away:
        says = f"A tombstone may be gone after {_days(topic.tombstones)}, and a reader may be away for {away}."
        return (
            says,
            "a reader that misses the tombstone keeps the key for ever",
            "Kafka's default for delete.retention.ms is 1 day",
        )
    return None


EXERCISE = Exercise(
    id="12-1",
    title="Kept long enough, and not too long",
    difficulty="medium",
    minutes=12,
    call="topic_settings(every_event, away, gone_after)",
    hints=(
        "How old is the oldest event of a segment when Kafka deletes the segment? And how old must the youngest be?",
        "`retention.ms` must be at least `away`; `retention.ms` plus `segment.ms` at most `gone_after`.",
        "If only the last record of each key counts, `cleanup.policy` is `compact`, and `delete.retention.ms` "
        "says how long a tombstone stays.",
    ),
    explanation="Retention promises only one thing: younger records are kept. The segments decide how much "
    "longer records stay. A compacted topic keeps the last record of each key without a time limit; its "
    "tombstones must stay until every reader has seen them. (The broker looks every five minutes: leave it some "
    "slack.)",
    points_at=("ep-1", "ep-3"),
    judge=_settings,
)
