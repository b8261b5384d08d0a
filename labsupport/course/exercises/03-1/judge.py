"""03-1, what became of it?: the judge."""

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
    """Records that are stored, at once or late; what the broker or the client refuses; and a broker that is silent."""
    large = "refused this record, which is too large: it is not stored, for certain"
    no_send = "send() itself raised: nothing was sent, whatever class the error has"
    late = "the broker stored it, and said so in the third second: until the producer gives up, an answer may come"
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
        with watched(lab, **settings) as producer:
            came_back = _asked(answer, producer, topic, value)
            producer.flush(timeout=5)
        _require_one_send(producer, topic, value, came_back)
        _require_outcome(topic, value, came_back, right, why)
    _silent_broker(answer, lab)
    return "Right for records that are stored, for those that are not, and for two whose fate nobody could know."


def _asked(answer: Submission, producer: Watched, topic: str, value: Any) -> str:
    try:
        return answer(producer, topic, value, returns=str, asks=WORDS)
    except Failed as failed:
        failed.timed = False  # it never raises: which error it is does not depend on the machine, and does not matter
        raise


def _call(topic: str, value: Any) -> str:
    return f"send_and_know(producer, {topic!r}, {shown(value, 40)})"


def _require_one_send(producer: Watched, topic: str, value: Any, came_back: str) -> None:
    if len(producer.sends) > 1:
        raise TryAgain(
            says=f"Your function sent the record {len(producer.sends)} times.",
            given=_call(topic, value),
            rule="one call sends one record; whether to send again is for the caller to decide",
            look_at="do you call send() in more than one place, or in a loop?",
        )
    refused_unsent = isinstance(value, str) and not producer.sends  # whoever sees that it is a text need not send it
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
        look_at = "do you wait for the outcome with get()? send() returns before there is one"
    elif right == "acknowledged":
        look_at = "how long do you wait? The producer gives up by itself; do not give up before it"
    else:
        look_at = (
            "which call raised the error, send() or get(), and which errors say for certain that it is not stored?"
        )
    raise TryAgain(
        says=f"This record's outcome is {right!r}.",
        given=_call(topic, value),
        came_back=shown(came_back),
        rule=why or "the broker has stored it and said so",
        look_at=look_at,
    )


def _silent_broker(answer: Submission, lab: Lab) -> None:
    """A broker of its own is frozen, until the client has given up; then it goes on, with what had reached it.

    Once with a client that retries until its time is over, and once with one that does not retry: the two have errors
    of different classes.
    """
    patient = {"delivery_timeout_ms": 1_000}
    hasty = {"retries": 0, "delivery_timeout_ms": 10_000}
    with lab.private() as kafka:
        topic = kafka.topic(CHECKED)
        for value, settings, error in (
            (b"1499.99", patient, "KafkaTimeoutError"),
            (b"1199.99", hasty, "RequestTimedOutError (this producer was told not to retry)"),
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
                    f"later, when the broker goes on: the topic holds it {stored} time{'s' * (stored != 1)}",
                    rule="a time-out says that no answer came, and nothing about the record",
                    look_at="which errors out of get() are a refusal? Only those are 'failed'",
                )


@contextlib.contextmanager
def _connected(kafka: Cluster, topic: str, **settings: Any) -> Iterator[Watched]:
    """A producer without idempotence that has sent a first record; its time-outs may be short, the machine slow."""
    with watched(kafka, enable_idempotence=False, **settings) as producer:

        def answered() -> bool:
            with contextlib.suppress(KafkaError):
                return bool(producer.send(topic, b"first").get(timeout=10))
            return False

        until(answered, 30, "the private broker to acknowledge a record")
        yield producer


EXERCISE = Exercise(
    id="03-1",
    title="What became of it?",
    difficulty="medium",
    minutes=9,
    call="send_and_know(producer, topic, value)",
    hints=(
        "`send()` returns a future, or raises. When does each error of this lesson come, and from which call?",
        "Use two `try`: one around `send(…)`, one around `.get(…)`. If `send()` raises, whatever it raises, "
        "nothing was sent: 'failed'.",
        "Out of `get()` only a refusal is 'failed': `except MessageSizeTooLargeError`. Any other error is "
        "'unknown': it does not say that nothing was stored.",
    ),
    explanation="It depends on which call raised. An error out of `send()` is certain: nothing was sent. An error "
    "out of `get()` is certain only if it is a refusal; after any other the record may be stored: the request, or "
    "only its answer, was lost. What is unknown may be sent again if the event's id lets readers recognise it.",
    judge=_outcome,
    seconds=30.0,
)
