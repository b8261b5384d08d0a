"""Exercises of lesson 03, how a producer knows that the event arrived."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kafka.errors import KafkaError

from labsupport.base import until
from labsupport.broker.cluster import Cluster
from labsupport.course.answer import Answer, Failed, TryAgain, shown
from labsupport.course.exercise import CHECKED, Exercise, Wrong
from labsupport.course.watched import Held, Watched, watched
from labsupport.experiments import faults

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

WORDS = "'acknowledged', 'failed' or 'unknown'"


# 03-1


def _outcome(answer: Answer, lab: "Lesson") -> str:
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


def _asked(answer: Answer, producer: Watched, topic: str, value: Any) -> str:
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
            broken="one call sends one record; whether to send again is for the caller to decide",
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
        broken=why or "the broker has stored it and said so",
        look_at=look_at,
    )


def _silent_broker(answer: Answer, lab: "Lesson") -> None:
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
                    broken="a time-out says that no answer came, and nothing about the record",
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


# 03-2


def _bounded(answer: Answer, lab: "Lesson") -> str:
    """Few and many values, small and large limits, some that are refused, some twice; counted where they are sent."""
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
    with _held(lab, limit=9, count=9, patience=1.5) as producer:  # its window of 2 does not make it send
        _send(answer, lab, producer, lab.topic(CHECKED), good[:4], 2, late=", each acknowledged after 1.5 s")
    with _held(lab, limit=2, count=3, max_block_ms=300) as producer:
        _send(answer, lab, producer, lab.namespace + "nowhere", good[:3], 2)
    return "Never more on their way than allowed, as many as allowed, nothing lost, and what failed was named."


def _held(lab: "Lesson", limit: int, count: int, **settings: Any) -> contextlib.AbstractContextManager[Held]:
    # Not idempotent: this client's idempotent producer sends nothing any more after a refusal.
    settings = {"batch_size": 4_000, "max_request_size": 20_000, "enable_idempotence": False} | settings
    return watched(lab, Held, limit=limit, count=count, **settings)


def _send(
    answer: Answer, lab: "Lesson", producer: Held, topic: str, values: list[bytes], limit: int, late: str = ""
) -> None:
    exists = topic in lab.topics(topic)
    where = "topic" if exists else "a topic that does not exist"
    given = f"send_all(producer, {where}, values, {limit}), with {len(values)} values{late}"
    try:
        came_back = answer(producer, topic, values, limit, returns=list, asks="a list of values")
    except Failed as failed:
        failed.timed = failed.timed and exists  # that there is no such topic does not depend on the machine
        raise
    without_outcome = len(producer.open)
    producer.flush(timeout=10)
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
            broken="who has returned cannot say any more which of them failed",
            look_at="wait for what is still on its way, after the loop",
        )
    if Counter(each if isinstance(each, bytes) else shown(each) for each in came_back) != Counter(failed):
        raise TryAgain(
            says=f"{len(failed)} of these {len(values)} values ended without an acknowledgement.",
            given=given + (", of which the broker or the client refuses " + (_sizes(failed) or "none")) * exists,
            came_back=f"{len(came_back)} values" + (f": {_sizes(came_back)}" if came_back else ""),
            broken="the list has each value that was not acknowledged, as often as it was sent, and no other",
            look_at="a refusal can come at once, from send(), or later, from get(): is each caught, with its value?",
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
            broken="each value is sent once, as it is: whether to send again is for the caller to decide",
            look_at="what does your code do with a value that was refused?",
        )


def _require_none_left_out(producer: Watched, values: list[bytes], given: str) -> None:
    if left_out := Counter(values) - Counter(producer.values):
        raise TryAgain(
            says=f"send() was never called with {left_out.total()} of these {len(values)} values.",
            given=given,
            broken="what is refused is for the client and the broker to say",
            look_at="one send() for each value, whatever became of those before it",
        )


def _require_all(stored: list[bytes | None], wanted: list[bytes], given: str) -> None:
    if lost := Counter(wanted) - Counter(stored):
        raise TryAgain(
            says=f"{lost.total()} of {len(wanted)} good values are not in the topic.",
            given=given,
            broken="one value that is refused must not keep the others from being sent",
            look_at="does the loop go on after an error? Is the last window sent?",
        )
    if len(stored) > len(wanted):
        says, look_at = "The topic holds more than was to be sent.", "send each value once, as it is"
        raise TryAgain(says=says, given=given, look_at=look_at)
    if stored != wanted:
        says = "The topic holds the values in another order."
        raise TryAgain(says=says, given=given, look_at="one loop, one producer, from the first value to the last")


def _require_window(most: int, limit: int, count: int, given: str, late: str) -> None:
    if most > limit:
        raise TryAgain(
            says=f"{most} sends were on their way at once, and {limit} {'was' if limit == 1 else 'were'} allowed.",
            given=given,
            broken="send() never says stop: with a silent broker all values would pile up in memory",
            look_at="a get() that stops waiting before the producer gives up leaves its send without an outcome"
            if late
            else "before the next send(), wait until fewer than `limit` have no outcome",
        )
    if most < min(limit, count // 2):
        raise TryAgain(
            says=f"At most {most} {'was' if most == 1 else 'were'} on the way at once, and {limit} were allowed.",
            given=given,
            broken="each wait for an answer costs a way to the broker and back; that is what the window is for",
            look_at="wait only when `limit` sends have no outcome yet, and then for the oldest",
        )


def _knowing(
    error: str = "MessageSizeTooLargeError", then: str = "failed", other: str = "unknown", **parts: str
) -> str:
    return f"""from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

def send_and_know(producer, topic, value):
    try:
        sending = producer.send(topic, value=value)
    except Exception:
        return "failed"
    {parts.get("first", "")}try:
        sending.get({parts.get("wait", "timeout=60")})
    except {error}:
        return "{then}"
    except Exception:
        return "{other}"
    return "acknowledged\""""


def _window(
    first: str = "",
    wait: str = "timeout=60",
    error: str = "Exception",
    then: str = "failed.append(value)",
    before: str = "",
) -> str:
    return f"""from collections import deque
from kafka.errors import MessageSizeTooLargeError

{before}def send_all(producer, topic, values, limit):
    waiting, failed = deque(), []
    def settle():
        value, sending = waiting.popleft()
        try:
            sending.get({wait})
        except {error}:
            {then}
    for value in values:
        {first}if len(waiting) == limit:
            settle()
        try:
            waiting.append((value, producer.send(topic, value=value)))
        except {error}:
            failed.append(value)
    while waiting:
        settle()
    return failed"""


EXERCISES = (
    Exercise(
        id="03-1",
        title="What became of it?",
        difficulty="medium",
        minutes=9,
        call="send_and_know(producer, topic, value)",
        stub='''def send_and_know(producer, topic, value):
    """Send once: 'acknowledged', 'failed' or 'unknown'."""
    return ...''',
        hints=(
            "`send()` returns a future, or raises. When does each error of this lesson come, and from which call?",
            "Use two `try`: one around `send(…)`, one around `.get(…)`. If `send()` raises, whatever it raises, "
            "nothing was sent: 'failed'.",
            "Out of `get()` only a refusal is 'failed': `except MessageSizeTooLargeError`. Any other error is "
            "'unknown': it does not say that nothing was stored.",
        ),
        reference='''from kafka.errors import MessageSizeTooLargeError


def send_and_know(producer, topic, value):
    """Send once: 'acknowledged', 'failed' or 'unknown'."""
    try:
        sending = producer.send(topic, value=value)
    except Exception:
        return "failed"
    try:
        sending.get(timeout=120)
    except MessageSizeTooLargeError:
        return "failed"
    except Exception:
        return "unknown"
    return "acknowledged"''',
        explanation="It depends on which call raised. An error out of `send()` is certain: nothing was sent. An error "
        "out of `get()` is certain only if it is a refusal; after any other the record may be stored: the request, or "
        "only its answer, was lost. What is unknown may be sent again if the event's id lets readers recognise it.",
        wrong=(
            Wrong(
                "when send() has returned, it is stored",
                "def send_and_know(producer, topic, value):\n"
                "    try:\n"
                "        producer.send(topic, value=value)\n"
                "    except Exception:\n"
                "        return 'failed'\n"
                "    return 'acknowledged'",
                "do you wait for the outcome",
            ),
            Wrong(
                "after flush() all is well",
                "def send_and_know(producer, topic, value):\n"
                "    try:\n"
                "        producer.send(topic, value=value)\n"
                "        producer.flush(timeout=10)\n"
                "    except Exception:\n"
                "        return 'failed'\n"
                "    return 'acknowledged'",
                "is not stored, for certain",
            ),
            Wrong(
                "a time-out means that it was not stored",
                "def send_and_know(producer, topic, value):\n"
                "    try:\n"
                "        producer.send(topic, value=value).get(timeout=60)\n"
                "    except Exception:\n"
                "        return 'failed'\n"
                "    return 'acknowledged'",
                "the topic holds it 1 time",
            ),
            Wrong(
                "after an error nothing is certain",
                "def send_and_know(producer, topic, value):\n"
                "    try:\n"
                "        producer.send(topic, value=value).get(timeout=10)\n"
                "    except Exception:\n"
                "        return 'unknown'\n"
                "    return 'acknowledged'",
                "which errors say for certain",
            ),
            Wrong(
                "errors come from get() only",
                "from kafka.errors import KafkaError, KafkaTimeoutError\n\n"
                "def send_and_know(producer, topic, value):\n"
                "    sending = producer.send(topic, value=value)\n"
                "    try:\n"
                "        sending.get(timeout=10)\n"
                "    except KafkaTimeoutError:\n"
                "        return 'unknown'\n"
                "    except KafkaError:\n"
                "        return 'failed'\n"
                "    return 'acknowledged'",
                "MessageSizeTooLargeError",
            ),
            Wrong(
                "a time-out is unknown, whichever call raised it",
                "from kafka.errors import KafkaError, KafkaTimeoutError\n\n"
                "def send_and_know(producer, topic, value):\n"
                "    try:\n"
                "        producer.send(topic, value=value).get(timeout=60)\n"
                "    except KafkaTimeoutError:\n"
                "        return 'unknown'\n"
                "    except Exception:\n"
                "        return 'failed'\n"
                "    return 'acknowledged'",
                "nothing was sent, whatever class",
            ),
            Wrong(
                "every error of send() is a KafkaError",
                _knowing().replace("Exception", "KafkaError", 1),
                "Unsupported type for serialized value",
            ),
            Wrong(
                "a second is long enough for an answer",
                _knowing(wait="timeout=1"),
                "how long do you wait?",
            ),
            Wrong(
                "whatever is not a KafkaTimeoutError is a refusal",
                _knowing("KafkaTimeoutError", "unknown", "failed"),
                "RequestTimedOutError",
            ),
            Wrong(
                "a large record is refused, wherever it is sent",
                _knowing(first="if len(value) > 1_000:\n        return 'failed'\n    "),
                "the broker has stored it",
            ),
            Wrong(
                "what is unknown is best sent again at once",
                "def send_and_know(producer, topic, value):\n"
                "    for _ in range(2):\n"
                "        try:\n"
                "            producer.send(topic, value=value).get(timeout=10)\n"
                "        except Exception:\n"
                "            result = 'failed'\n"
                "        else:\n"
                "            result = 'acknowledged'\n"
                "    return result",
                "sent the record 2 times",
            ),
        ),
        other_styles=(
            "from kafka.errors import MessageSizeTooLargeError\n\n"
            "def send_and_know(producer, topic, value):\n"
            "    try:\n"
            "        sending = producer.send(topic, value)\n"
            "    except Exception:\n"
            "        return 'failed'\n"
            "    producer.flush(timeout=60)\n"
            "    if sending.succeeded():\n"
            "        return 'acknowledged'\n"
            "    refused = isinstance(sending.exception, MessageSizeTooLargeError)\n"
            "    return 'failed' if refused else 'unknown'",
            "def send_and_know(producer, topic, value):\n"
            "    sending = None\n"
            "    try:\n"
            "        sending = producer.send(topic, value=value)\n"
            "        sending.get()\n"
            "        return 'acknowledged'\n"
            "    except Exception as error:\n"
            "        return 'unknown' if sending and getattr(error, 'retriable', True) else 'failed'",
            "import threading\n"
            "from kafka.errors import MessageSizeTooLargeError\n\n"
            "def send_and_know(producer, topic, value):\n"
            "    if not isinstance(value, bytes):\n"
            "        return 'failed'\n"
            "    known, said = threading.Event(), []\n"
            "    try:\n"
            "        sending = producer.send(topic, value=value)\n"
            "    except Exception:\n"
            "        return 'failed'\n"
            "    sending.add_both(lambda *_: known.set())\n"
            "    known.wait()\n"
            "    error = sending.exception\n"
            "    if error is None:\n"
            "        return 'acknowledged'\n"
            "    return 'failed' if isinstance(error, MessageSizeTooLargeError) else 'unknown'",
        ),
        judge=_outcome,
        seconds=30.0,
    ),
    Exercise(
        id="03-2",
        title="A window",
        difficulty="hard",
        minutes=12,
        call="send_all(producer, topic, values, limit)",
        file="sender.py",
        stub='''"""Sending many values, with at most so many on their way."""


def send_all(producer, topic, values, limit):
    """Send all; at most `limit` without an outcome. The values not acknowledged."""
    return ...''',
        hints=(
            "How many sends may have no outcome at the moment before you call `send()` once more?",
            "Keep a queue (deque) of pairs (value, future). When it is full, take the oldest and `get()` it.",
            "After the loop the queue still has up to `limit` pairs. And `send()` itself can raise: catch both.",
        ),
        reference='''"""Sending many values, with at most so many on their way."""

from collections import deque

from kafka.errors import KafkaError


def send_all(producer, topic, values, limit):
    """Send all; at most `limit` without an outcome. The values not acknowledged."""
    waiting, failed = deque(), []

    def settle():
        value, sending = waiting.popleft()
        try:
            sending.get(timeout=60)
        except KafkaError:
            failed.append(value)

    for value in values:
        if len(waiting) == limit:
            settle()
        try:
            waiting.append((value, producer.send(topic, value=value)))
        except KafkaError:
            failed.append(value)
    while waiting:
        settle()
    return failed''',
        explanation="The queue is the window: it never holds more than `limit`, and only its oldest is waited for, so "
        "that the others stay on their way. The lab's own is `sending.publish`.",
        wrong=(
            Wrong(
                "send() stops by itself when too much is on its way",
                "from kafka.errors import KafkaError\n\n"
                "def send_all(producer, topic, values, limit):\n"
                "    sent, failed = [], []\n"
                "    for value in values:\n"
                "        try:\n"
                "            sent.append((value, producer.send(topic, value=value)))\n"
                "        except KafkaError:\n"
                "            failed.append(value)\n"
                "    for value, sending in sent:\n"
                "        try:\n"
                "            sending.get(timeout=60)\n"
                "        except KafkaError:\n"
                "            failed.append(value)\n"
                "    return failed",
                "would pile up in memory",
            ),
            Wrong(
                "each send is waited for",
                "from kafka.errors import KafkaError\n\n"
                "def send_all(producer, topic, values, limit):\n"
                "    failed = []\n"
                "    for value in values:\n"
                "        try:\n"
                "            producer.send(topic, value=value).get(timeout=60)\n"
                "        except KafkaError:\n"
                "            failed.append(value)\n"
                "    return failed",
                "that is what the window is for",
            ),
            Wrong(
                "what is sent last arrives by itself",
                "from collections import deque\n"
                "from kafka.errors import KafkaError\n\n"
                "def send_all(producer, topic, values, limit):\n"
                "    waiting, failed = deque(), []\n"
                "    for value in values:\n"
                "        if len(waiting) == limit:\n"
                "            waiting.popleft().get(timeout=60)\n"
                "        waiting.append(producer.send(topic, value=value))\n"
                "    return failed",
                "had no outcome yet",
            ),
            Wrong(
                "flush() raises if something failed",
                "def send_all(producer, topic, values, limit):\n"
                "    failed = []\n"
                "    for number, value in enumerate(values, 1):\n"
                "        try:\n"
                "            producer.send(topic, value=value)\n"
                "            if number % limit == 0:\n"
                "                producer.flush(timeout=60)\n"
                "        except Exception:\n"
                "            failed.append(value)\n"
                "    producer.flush(timeout=60)\n"
                "    return failed",
                "a refusal can come at once",
            ),
            Wrong(
                "the first error ends it",
                "from collections import deque\n\n"
                "def send_all(producer, topic, values, limit):\n"
                "    waiting, failed = deque(), []\n"
                "    try:\n"
                "        for value in values:\n"
                "            if len(waiting) == limit:\n"
                "                waiting.popleft().get(timeout=60)\n"
                "            waiting.append(producer.send(topic, value=value))\n"
                "        while waiting:\n"
                "            waiting.popleft().get(timeout=60)\n"
                "    except Exception:\n"
                "        failed.append(value)\n"
                "    return failed",
                "good values are not in the topic",
            ),
            Wrong(
                "what was refused is tried once more",
                _window(
                    then="try:\n                producer.send(topic, value=value).get(timeout=60)\n"
                    "            except Exception:\n                failed.append(value)"
                ),
                "too often",
            ),
            Wrong(
                "what has no outcome after a moment has failed",
                _window(wait="timeout=1"),
                "stops waiting before the producer gives up",
            ),
            Wrong(
                "no two values are equal",
                "def send_all(producer, topic, values, limit):\n"
                "    waiting, failed = {}, []\n"
                "    def settle():\n"
                "        value = next(iter(waiting))\n"
                "        try:\n"
                "            waiting.pop(value).get(timeout=60)\n"
                "        except Exception:\n"
                "            failed.append(value)\n"
                "    for value in values:\n"
                "        if len(waiting) == limit:\n"
                "            settle()\n"
                "        try:\n"
                "            waiting[value] = producer.send(topic, value=value)\n"
                "        except Exception:\n"
                "            failed.append(value)\n"
                "    while waiting:\n"
                "        settle()\n"
                "    return failed",
                "with 8 values",
            ),
            Wrong(
                "what failed is kept where the next call finds it",
                _window(before="failed = []\n\n").replace("waiting, failed = deque(), []", "waiting = deque()"),
                "and no other",
            ),
            Wrong(
                "whatever is large will be refused",
                _window(
                    first="if len(value) > 5_000:\n            failed.append(value)\n            continue\n        "
                ),
                "was never called with 1 of these",
            ),
            Wrong(
                "the client refuses only what is too large",
                _window(error="MessageSizeTooLargeError"),
                "Failed to update metadata",
            ),
            Wrong(
                "the limit counts what is waited for, and one more may be sent",
                "from collections import deque\n"
                "from kafka.errors import KafkaError\n\n"
                "def send_all(producer, topic, values, limit):\n"
                "    waiting, failed = deque(), []\n"
                "    for value in values:\n"
                "        waiting.append((value, producer.send(topic, value=value)))\n"
                "        if len(waiting) > limit:\n"
                "            value, sending = waiting.popleft()\n"
                "            sending.get(timeout=60)\n"
                "    while waiting:\n"
                "        waiting.popleft()[1].get(timeout=60)\n"
                "    return failed",
                "allowed",
            ),
        ),
        other_styles=(
            "from kafka.errors import KafkaError\n\n"
            "def send_all(producer, topic, values, limit):\n"
            "    failed = []\n"
            "    for begin in range(0, len(values), limit):\n"
            "        sent = []\n"
            "        for value in values[begin:begin + limit]:\n"
            "            try:\n"
            "                sent.append((value, producer.send(topic, value)))\n"
            "            except KafkaError:\n"
            "                failed.append(value)\n"
            "        producer.flush()\n"
            "        failed += [value for value, sending in sent if sending.failed()]\n"
            "    return failed",
            "import threading\n\n"
            "def send_all(producer, topic, values, limit):\n"
            "    free, failed = threading.Semaphore(limit), []\n"
            "    for value in values:\n"
            "        free.acquire()\n"
            "        def done(_, value=None):\n"
            "            if value is not None:\n"
            "                failed.append(value)\n"
            "            free.release()\n"
            "        try:\n"
            "            sending = producer.send(topic, value=value)\n"
            "        except Exception:\n"
            "            done(None, value=value)\n"
            "        else:\n"
            "            sending.add_callback(done).add_errback(done, value=value)\n"
            "    for _ in range(limit):\n"
            "        free.acquire()\n"
            "    return failed",
        ),
        judge=_bounded,
        seconds=30.0,
    ),
)
