"""03-1: the outcome is right for records that are stored, refused, or left unanswered by a frozen broker."""

import contextlib
from collections.abc import Iterator
from typing import Any

from kafka.errors import KafkaError

from labsupport.broker.cluster import Cluster
from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.exercises.watched_producers import Watched, watched
from labsupport.course.lab import Lab
from labsupport.course.submission import Failed, Submission, TryAgain, shown
from labsupport.experiments.breaking import faults
from labsupport.waiting import until

WORDS = "'acknowledged', 'failed' or 'unknown'"


def _outcome(answer: Submission, lab: Lab) -> str:
    """Records that are stored at once or late, that broker or client refuses, and that a frozen broker leaves open."""
    large = "refused this record because it is too large: it is certainly not stored"
    no_send = "send() itself raised: nothing was sent, whatever the class of the error"
    late = "the broker acknowledged it in the third second: an answer may come until the producer gives up"
    for value, most_bytes, settings, right, why in (
        (b"1499.99", 2_000, {}, "acknowledged", ""),
        (b"x" * 5_000, 2_000, {}, "failed", f"the broker {large}"),
        (b"x" * 2_000_000, 2_000, {}, "failed", f"the client, at once, {large}"),
        ("1499.99", 2_000, {}, "failed", no_send),
        (b"1399.99", 0, {"max_block_ms": 1_000}, "failed", no_send + " (there is no such topic)"),
        (b"x" * 1_500, 1_000, {}, "failed", f"the broker {large}"),
        (b"x" * 1_500, 2_000, {"max_request_size": 1_000}, "failed", f"the client, at once, {large}"),
        (b"x" * 2_000_000, 3_000_000, {"max_request_size": 3_000_000}, "acknowledged", ""),
        (b"1299.99", 2_000, {"linger_ms": 2_500}, "acknowledged", late),
    ):
        topic = lab.topic(CHECKED, max_message_bytes=most_bytes) if most_bytes else lab.namespace + "nowhere"
        with watched(lab, Watched, **settings) as producer:
            came_back = _asked(answer, producer, topic, value)
            producer.flush(timeout=60)
        _require_one_send(producer, topic, value, came_back)
        _require_outcome(topic, value, came_back, right, why)
    _silent_broker(answer, lab)
    return "Right for records that are stored, records that are not, and two that nobody can know about."


def _asked(answer: Submission, producer: Watched, topic: str, value: Any) -> str:
    try:
        return answer(producer, topic, value, returns=str, asks=WORDS)
    except Failed as failed:
        failed.timed = False  # the function must not raise at all, so a slow machine is no excuse
        raise


def _call(topic: str, value: Any) -> str:
    return f"send_and_know(producer, {topic!r}, {shown(value, 40)})"


def _require_one_send(producer: Watched, topic: str, value: Any, came_back: str) -> None:
    if len(producer.sends) > 1:
        raise TryAgain(
            says=f"Your function sent the record {len(producer.sends)} times.",
            given=_call(topic, value),
            rule="one call sends one record; the caller decides whether to send it again",
            look_at="do you call send() in more than one place, or in a loop?",
        )
    refused_unsent = (
        isinstance(value, str) and not producer.sends
    )  # a function that checks the type need not send a text
    if producer.values != [value] and not refused_unsent:
        raise TryAgain(
            says=f"Your function sent {shown(producer.values[0], 60)}." if producer.sends else "Nothing was sent.",
            given=_call(topic, value),
            came_back=shown(came_back),
            look_at="producer.send(topic, value=value)",
        )


def _require_outcome(topic: str, value: Any, came_back: str, right: str, why: str) -> None:
    if came_back == right:
        return
    if came_back == "acknowledged":
        look_at = "do you wait for the outcome with get()? send() returns before there is an outcome"
    elif right == "acknowledged":
        look_at = "how long do you wait? The producer gives up by itself; do not give up earlier"
    else:
        look_at = (
            "which call raised the error, send() or get(), and which errors mean that the record is certainly "
            "not stored?"
        )
    raise TryAgain(
        says=f"This record's outcome is {right!r}.",
        given=_call(topic, value),
        came_back=shown(came_back),
        rule=why or "the broker stored it and acknowledged it",
        look_at=look_at,
    )


def _silent_broker(answer: Submission, lab: Lab) -> None:
    """Freeze a private broker until the client gives up; then the broker resumes with the requests that reached it.

    Once with a producer that retries until its timeout, and once with one that does not retry: they raise errors
    of different classes.
    """
    patient = {"delivery_timeout_ms": 1_000}
    hasty = {"retries": 0, "delivery_timeout_ms": 10_000}
    with lab.private() as kafka:
        topic = kafka.topic(CHECKED)
        for value, settings, error in (
            (b"1499.99", patient, "KafkaTimeoutError"),
            (b"1199.99", hasty, "RequestTimedOutError (this producer does not retry)"),
        ):
            with _connected(kafka, topic, request_timeout_ms=700, **settings) as producer:
                producer.sends.clear()
                with faults.paused(kafka.broker(1)):
                    came_back = _asked(answer, producer, topic, value)
                _require_one_send(producer, topic, value, came_back)
            if came_back != "unknown":
                stored = [record.value for record in kafka.log(topic).records].count(value)
                raise TryAgain(
                    says="This record's outcome is 'unknown'.",
                    given=answer.called(producer, topic, value),
                    came_back=shown(came_back),
                    story=f"send → (the broker is frozen) → no answer in time → {error}\n"
                    f"later, when the broker resumes: the topic holds it {stored} time{'s' * (stored != 1)}",
                    rule="a timeout means that no answer came; it says nothing about the record",
                    look_at="which errors from get() are a refusal? Only those are 'failed'",
                )


@contextlib.contextmanager
def _connected(kafka: Cluster, topic: str, **settings: Any) -> Iterator[Watched]:
    """A producer without idempotence; its first record was acknowledged, so that short timeouts suit a slow machine."""
    with watched(kafka, enable_idempotence=False, **settings) as producer:

        def answered() -> bool:
            with contextlib.suppress(KafkaError):
                return bool(producer.send(topic, b"first").get(timeout=60))
            return False

        until(answered, 60, "the private broker to acknowledge a record")
        yield producer


EXERCISE = Exercise(
    id="03-1",
    title="What became of it?",
    difficulty="medium",
    minutes=9,
    call="send_and_know(producer, topic, value)",
    hints=(
        "`send()` returns a future, or raises. When does each error of this lesson occur, and in which call?",
        "Use two `try`: one around `send(…)`, one around `.get(…)`. If `send()` raises anything, nothing was "
        "sent: 'failed'.",
        "From `get()` only a refusal is 'failed': `except MessageSizeTooLargeError`. Any other error is "
        "'unknown': it does not mean that nothing was stored.",
    ),
    explanation="What matters is which call raised. After an error from `send()` nothing was sent. After a "
    "refusal from `get()` nothing was stored; after any other error from `get()` the record may be stored, "
    "because either the request or only its answer was lost. You may send it again if readers recognise the "
    "event by its id.",
    judge=_outcome,
    seconds=30.0,
)
