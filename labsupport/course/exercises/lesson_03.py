"""Exercises of lesson 03, how a producer knows that the event arrived."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer
from kafka.future import Future

from labsupport.course.answer import Answer, TryAgain, shown
from labsupport.course.exercise import CHECKED, Exercise, Wrong
from labsupport.experiments import faults

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

WORDS = "'acknowledged', 'failed' or 'unknown'"


def _outcome(answer: Answer, lab: "Lesson") -> str:
    """A good record, one that the broker refuses, one that the client refuses, and a broker that falls silent."""
    topic = lab.topic(CHECKED, max_message_bytes=2_000)
    producer = lab.producer(name="check")
    _expect(answer, lab, producer, topic, b"1499.99", "acknowledged", "")
    for size, who in ((5_000, "the broker"), (2_000_000, "the client, at once,")):
        why = f"{who} refused this record, which is too large: it is not stored, for certain"
        _expect(answer, lab, producer, topic, b"x" * size, "failed", why)
    _silent_broker(answer, lab)
    return "Right for a record that is stored, for two that are refused, and for one whose fate nobody could know."


def _expect(
    answer: Answer, lab: "Lesson", producer: KafkaProducer, topic: str, value: bytes, right: str, why: str
) -> None:
    before = len(lab.log(topic).records)
    came_back = answer(producer, topic, value, returns=str, asks=WORDS)
    producer.flush(timeout=5)
    stored = len(lab.log(topic).records) - before
    if stored > 1:
        raise TryAgain(
            says=f"Your function sent the record {stored} times.",
            given=answer.called(producer, topic, value),
            broken="one call sends one record; whether to send again is for the caller to decide",
            look_at="do you call send() in more than one place?",
        )
    if right == "acknowledged" and not stored:
        raise TryAgain(
            says="The topic holds nothing after your call.",
            given=answer.called(producer, topic, value),
            came_back=shown(came_back),
            look_at="producer.send(topic, value=value)",
        )
    if came_back != right:
        raise TryAgain(
            says=f"This record's outcome is {right!r}.",
            given=answer.called(producer, topic, value),
            came_back=shown(came_back),
            broken=why or "the broker has stored it and said so",
            look_at="do you wait for the outcome with get()? send() returns before there is one"
            if came_back == "acknowledged"
            else f"the three words are {WORDS}; which errors say for certain that nothing was stored?",
        )


def _silent_broker(answer: Answer, lab: "Lesson") -> None:
    """A broker of its own is frozen, until the client has given up; then it goes on, with what had reached it."""
    with lab.private() as kafka:
        topic = kafka.topic("silent")
        producer = kafka.producer(name="check", request_timeout_ms=700, delivery_timeout_ms=1_000)
        producer.send(topic, b"first").get(timeout=10)
        with faults.paused(kafka.broker(1)):
            came_back = answer(producer, topic, b"1499.99", returns=str, asks=WORDS)
        if came_back != "unknown":
            stored = [record.value for record in kafka.log(topic).records].count(b"1499.99")
            raise TryAgain(
                says="This record's outcome is 'unknown'.",
                given=answer.called(producer, topic, b"1499.99"),
                came_back=shown(came_back),
                story="send → (the broker is frozen) → no answer in time → KafkaTimeoutError\n"
                f"later, when the broker goes on: the topic holds it {stored} time{'s' * (stored != 1)}",
                broken="a time-out says that no answer came, and nothing about the record",
                look_at="which class does this error have? Treat it before all others",
            )


class Watched(KafkaProducer):
    """A producer that keeps account of the sends that have no outcome yet."""

    def __init__(self, **settings: Any):
        self.open: list[Future] = []
        self.most = 0  # the most that were on their way at once
        super().__init__(**settings)

    def send(self, *arguments: Any, **named: Any) -> Future:
        """As KafkaProducer.send."""
        sending = super().send(*arguments, **named)
        self.open = [each for each in (*self.open, sending) if not each.is_done]
        self.most = max(self.most, len(self.open))
        return sending


def _bounded(answer: Answer, lab: "Lesson") -> str:
    """Few and many values, small and large limits, some values that are refused; counted where they are sent."""
    good = [b"%d" % number for number in range(200)]
    refused = [b"x" * 8_000, b"y" * 8_000, b"z" * 30_000]  # two by the broker, one by the client
    for values, limit in (
        (good[:1], 1),
        ([], 5),
        (good[:4], 1),
        (good[:5], 2),
        ([good[0], refused[2], good[1], good[2]], 1),
        ([good[0], refused[0], good[1]], 2),
        ([*good[:90], *refused, *good[90:]], 20),
        (good, 200),
    ):
        _send(answer, lab, values, limit)
    return "Never more on their way than allowed, as many as allowed, nothing lost, and what failed was named."


def _send(answer: Answer, lab: "Lesson", values: list[bytes], limit: int) -> None:
    topic = lab.topic(CHECKED, max_message_bytes=5_000)
    # Batches wait for 20 ms: who does not wait for outcomes has sent all of them by then.
    # Not idempotent: this client's idempotent producer sends nothing any more after a refusal.
    settings = {"linger_ms": 20, "batch_size": 4_000, "max_request_size": 20_000, "enable_idempotence": False}
    producer = Watched(**lab.config("producer", client_id="check", **settings))
    given = f"send_all(producer, topic, values, {limit}), with {len(values)} values"
    try:
        came_back = answer(producer, topic, values, limit, returns=list, asks="a list of values")
        without_outcome = sum(not each.is_done for each in producer.open)
        producer.flush(timeout=10)
    finally:
        producer.close(timeout=5)
    stored = [record.value for record in lab.log(topic).records]
    failed = [value for value in values if len(value) > 5_000]
    _require_all(stored, [value for value in values if value not in failed], given)
    _require_window(producer.most, limit, len(values), given)
    if without_outcome:
        raise TryAgain(
            says=f"Your function returned while {without_outcome} of {len(values)} sends had no outcome yet.",
            given=given,
            broken="who has returned cannot say any more which of them failed",
            look_at="wait for what is still on its way, after the loop",
        )
    if Counter(each if isinstance(each, bytes) else shown(each) for each in came_back) != Counter(failed):
        raise TryAgain(
            says=f"{len(failed)} of these {len(values)} values were not acknowledged.",
            given=given + ", of which the broker or the client refuses " + (_sizes(failed) or "none"),
            came_back=f"{len(came_back)} values" + (f": {_sizes(came_back)}" if came_back else ""),
            broken="the list has each value that was not acknowledged, once, and no other",
            look_at="a refusal can come at once, from send(), or later, from get(): is each caught, with its value?",
        )


def _sizes(values: list[Any]) -> str:
    return ", ".join(
        f"one of {len(each):,} bytes" if isinstance(each, bytes) else shown(each, 40) for each in values[:4]
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


def _require_window(most: int, limit: int, count: int, given: str) -> None:
    if most > limit:
        raise TryAgain(
            says=f"{most} sends were on their way at once, and {limit} were allowed.",
            given=given,
            broken="send() never says stop: with a silent broker all values would pile up in memory",
            look_at="before the next send(), wait until fewer than `limit` have no outcome",
        )
    if most < min(limit, count // 2):
        raise TryAgain(
            says=f"At most {most} {'was' if most == 1 else 'were'} on the way at once, and {limit} were allowed.",
            given=given,
            broken="each wait for an answer costs a way to the broker and back; that is what the window is for",
            look_at="wait only when `limit` sends have no outcome yet, and then for the oldest",
        )


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
            "Put `send(…)` and `.get(…)` into one `try`. Which class has the error that says only that no answer came?",
            "`except KafkaTimeoutError` comes first and is 'unknown'; any other KafkaError is a refusal: 'failed'.",
        ),
        reference='''from kafka.errors import KafkaError, KafkaTimeoutError


def send_and_know(producer, topic, value):
    """Send once: 'acknowledged', 'failed' or 'unknown'."""
    try:
        producer.send(topic, value=value).get(timeout=10)
    except KafkaTimeoutError:
        return "unknown"
    except KafkaError:
        return "failed"
    return "acknowledged"''',
        explanation="A refusal is a certainty: the record is not stored. A time-out is none: the request, or only its "
        "answer, may be lost. What is unknown may be sent again if the event's id lets readers recognise it.",
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
                "        producer.send(topic, value=value).get(timeout=10)\n"
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
            "from kafka.errors import KafkaTimeoutError\n\n"
            "def send_and_know(producer, topic, value):\n"
            "    try:\n"
            "        sending = producer.send(topic, value)\n"
            "    except Exception:\n"
            "        return 'failed'\n"
            "    producer.flush(timeout=5)\n"
            "    if sending.succeeded():\n"
            "        return 'acknowledged'\n"
            "    no_answer = not sending.is_done or isinstance(sending.exception, KafkaTimeoutError)\n"
            "    return 'unknown' if no_answer else 'failed'",
            "def send_and_know(producer, topic, value):\n"
            "    try:\n"
            "        producer.send(topic, value=value).get(timeout=0.5)\n"
            "        return 'acknowledged'\n"
            "    except Exception as error:\n"
            "        return 'unknown' if 'Timeout' in type(error).__name__ else 'failed'",
        ),
        judge=_outcome,
        seconds=4.0,
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
                "were allowed",
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
        seconds=10.0,
    ),
)
