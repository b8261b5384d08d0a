"""03-2: the sender fills its window and never exceeds it, loses nothing, and names what failed."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.exercises.watched_producers import Held, Watched, watched
from labsupport.course.lab import Lab
from labsupport.course.submission import Failed, Submission, TryAgain, shown


def _bounded(answer: Submission, lab: Lab) -> str:
    """Few and many values, small and large limits, refused and repeated values; the producer counts sends in flight."""
    good = [b"%d" % number for number in range(200)]
    refused = [b"x" * 8_000, b"y" * 8_000, b"z" * 30_000]  # two by the broker, one by the client
    for values, limit in (
        (good[:1], 1),
        ([], 5),
        (good[:4], 1),
        (good[:5], 2),
        ([good[0], refused[2], good[1], good[2]], 1),
        ([good[0], refused[0], good[1]], 2),
        ([good[0], good[0], refused[2], refused[2], refused[0], refused[0], good[1], good[0]], 2),
        ([*good[:90], *refused, *good[90:]], 20),
        (good, 50),
    ):
        with _held(lab, limit, len(values)) as producer:
            _send(answer, lab, producer, lab.topic(CHECKED, max_message_bytes=5_000), values, limit)
    with _held(lab, limit=9, count=9, patience=1.5) as producer:  # a window of 2 does not make this producer send
        _send(answer, lab, producer, lab.topic(CHECKED), good[:4], 2, late=", each acknowledged after 1.5 s")
    with _held(lab, limit=2, count=3, max_block_ms=300) as producer:
        _send(answer, lab, producer, lab.namespace + "nowhere", good[:3], 2)
    return "The window was always used and never exceeded, nothing was lost, and every failure was reported."


def _held(lab: Lab, limit: int, count: int, **settings: Any) -> contextlib.AbstractContextManager[Held]:
    # Not idempotent: after a refusal, this client's idempotent producer sends nothing more.
    settings = {"batch_size": 4_000, "max_request_size": 20_000, "enable_idempotence": False} | settings
    return watched(lab, Held, limit=limit, count=count, **settings)


def _send(
    answer: Submission, lab: Lab, producer: Held, topic: str, values: list[bytes], limit: int, late: str = ""
) -> None:
    exists = topic in lab.topics(topic)
    where = "topic" if exists else "a topic that does not exist"
    given = f"send_all(producer, {where}, values, {limit}), with {len(values)} values{late}"
    try:
        came_back = answer(producer, topic, values, limit, returns=list, asks="a list of values")
    except Failed as problem:
        problem.timed = problem.timed and exists  # a missing topic does not depend on the machine
        raise
    without_outcome = len(producer.open)
    producer.flush(timeout=60)
    _require_sends(producer, values, given)
    failed = producer.failed
    if exists:
        stored = [record.value for record in lab.log(topic).records]
        _require_all(stored, [value for value in values if len(value) <= 5_000], given)
        _require_window(producer.most, limit, len(values), given, late)
    _require_none_left_out(producer, values, given)
    if without_outcome:
        raise TryAgain(
            says=f"Your function returned while {without_outcome} of {len(values)} sends had no outcome yet.",
            given=given,
            rule="after returning, your function can no longer report which of them failed",
            look_at="after the loop, wait for the sends that are still in flight",
        )
    if Counter(each if isinstance(each, bytes) else shown(each) for each in came_back) != Counter(failed):
        raise TryAgain(
            says=f"{len(failed)} of these {len(values)} values ended without an acknowledgement.",
            given=given + (", of which the broker or the client refuses " + (_sizes(failed) or "none")) * exists,
            came_back=f"{len(came_back)} values" + (f": {_sizes(came_back)}" if came_back else ""),
            rule="the list has each value that was not acknowledged, as often as it was sent, and no other value",
            look_at="a refusal can come at once, from send(), or later, from get(): do you catch both, with the value?",
        )


def _sizes(values: list[Any]) -> str:
    return ", ".join(
        f"one of {len(each):,} bytes" if isinstance(each, bytes) else shown(each, 40) for each in values[:4]
    )


def _require_sends(producer: Watched, values: list[bytes], given: str) -> None:
    if too_often := Counter(producer.values) - Counter(values):
        raise TryAgain(
            says=f"send() was called {too_often.total()} time{'s' * (too_often.total() != 1)} too often.",
            given=given,
            rule="send each value once, unchanged: the caller decides whether to send it again",
            look_at="what does your code do with a value that was refused?",
        )


def _require_none_left_out(producer: Watched, values: list[bytes], given: str) -> None:
    if left_out := Counter(values) - Counter(producer.values):
        raise TryAgain(
            says=f"send() was never called with {left_out.total()} of these {len(values)} values.",
            given=given,
            rule="the client and the broker decide what to refuse",
            look_at="call send() once for each value, whatever happened to the values before it",
        )


def _require_all(stored: Sequence[bytes | None], wanted: list[bytes], given: str) -> None:
    if lost := Counter[bytes | None](wanted) - Counter(stored):
        raise TryAgain(
            says=f"{lost.total()} of {len(wanted)} good values are not in the topic.",
            given=given,
            rule="a refused value must not prevent the others from being sent",
            look_at="does the loop continue after an error? Is the last window sent?",
        )
    if len(stored) > len(wanted):
        says, look_at = "The topic holds more records than there are values.", "send each value once, unchanged"
        raise TryAgain(says=says, given=given, look_at=look_at)
    if stored != wanted:
        says = "The topic holds the values in a different order."
        raise TryAgain(says=says, given=given, look_at="send the values in one loop, from first to last")


def _require_window(most: int, limit: int, count: int, given: str, late: str) -> None:
    if most > limit:
        raise TryAgain(
            says=f"{most} sends were in flight at once, and {limit} {'was' if limit == 1 else 'were'} allowed.",
            given=given,
            rule="send() sets no limit: with a silent broker all values would pile up in memory",
            look_at="a get() that times out before the producer gives up leaves its send without an outcome"
            if late
            else "before the next send(), wait until fewer than `limit` sends have no outcome",
        )
    if most < min(limit, count // 2):
        raise TryAgain(
            says=f"At most {most} {'was' if most == 1 else 'were'} in flight at once, and {limit} were allowed.",
            given=given,
            rule="each wait for an answer costs a round trip to the broker; that is what the window is for",
            look_at="wait only when `limit` sends have no outcome, and then for the oldest one",
        )


EXERCISE = Exercise(
    id="03-2",
    title="A window",
    difficulty="hard",
    minutes=12,
    call="send_all(producer, topic, values, limit)",
    file="sender.py",
    hints=(
        "How many sends may have no outcome just before you call `send()` again?",
        "Keep a queue (deque) of pairs (value, future). When it is full, take the oldest pair and call `get()` "
        "on its future.",
        "After the loop the queue still has up to `limit` pairs. And `send()` itself can raise: catch that too.",
    ),
    explanation="The queue is the window: it never holds more than `limit` sends. You wait only for the oldest "
    "one, so the others stay in flight. The lab's own function is `publish.publish`.",
    judge=_bounded,
    seconds=30.0,
    points_at=("window",),
)
