"""Exercises of lesson 09, what becomes of an event that nobody can process."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.base import LabError, until
from labsupport.course.answer import Answer, Failed, TryAgain, shown
from labsupport.course.exercise import CHECKED, Exercise, Wrong
from labsupport.events import dead_letter, retry
from labsupport.events.event import EventError
from labsupport.events.exact import ExactProducer

if TYPE_CHECKING:
    from labsupport.course.session import Lesson


# 09-1

ATTEMPTS, FIRST, MOST, TOTAL = 5, 0.5, 3.0, 8.0
WORDS = "a number of seconds, 'dead letter' or 'pause'"
DUE = (0.0, 0.25, 0.5, 1.5, 3.5, 4.0, 5.0, 5.5, 6.5, 7.0, 7.5, 7.75, 8.0, 20.0)  # s since the first failure


def _decide(answer: Answer, _: "Lesson") -> str:
    """Each attempt, from early to late, with errors of each kind."""
    tried = 0
    errors = _errors()
    for attempt in range(1, ATTEMPTS + 3):
        for waited in DUE:
            for error in errors:
                _require_decision(answer, attempt, waited, error)
                tried += 1
    return f"Right for {tried} failures: errors of each kind, from the first attempt to the seventh, from 0 s to 20 s."


def _errors() -> list[Exception]:
    """Errors of each kind: those that handlers raise, one of the system's, one of a database, one with a cause."""
    caused = RuntimeError("could not book it")
    caused.__cause__ = TimeoutError("no answer")
    return [
        retry.TransientError("busy"),
        KeyError("amount"),
        EventError("not JSON"),
        retry.PermanentError("there is no such auction"),
        ConnectionRefusedError("nobody listens"),
        _locked(),
        ZeroDivisionError("division by zero"),
        caused,
    ]


def _locked() -> Exception:
    """What SQLite says when another connection writes."""
    with closing(sqlite3.connect("file:locked?mode=memory&cache=shared", uri=True)) as other:
        other.execute("CREATE TABLE t (a)")
        other.execute("BEGIN EXCLUSIVE")
        with closing(sqlite3.connect("file:locked?mode=memory&cache=shared", uri=True, timeout=0)) as database:
            try:
                database.execute("INSERT INTO t VALUES (1)")
            except sqlite3.OperationalError as error:
                return error.with_traceback(None)
    raise AssertionError("the database was not locked")


def _require_decision(answer: Answer, attempt: int, waited: float, error: Exception) -> None:
    kind = retry.classify(error)
    wait = min(MOST, FIRST * 2 ** (attempt - 1))
    left = attempt < ATTEMPTS and waited + wait <= TOTAL
    right: float | str = (
        wait if left and kind != retry.PERMANENT else "pause" if kind == retry.TRANSIENT else "dead letter"
    )
    came_back = answer(attempt, waited, error, returns=(int, float, str), asks=WORDS)
    if came_back == right:
        return
    broken, look_at = _why(attempt, waited, kind, right, came_back)
    raise TryAgain(
        says=f"{f'A wait of {right:g} s' if isinstance(right, float) else repr(right)} is due here.",
        given=f"{answer.called(attempt, waited, error)}, an error that is {kind}",
        came_back=shown(came_back),
        broken=broken,
        look_at=look_at,
    )


def _why(attempt: int, waited: float, kind: str, right: float | str, came_back: Any) -> tuple[str, str]:
    """Which property is broken, and what to look at."""
    if isinstance(right, float) and isinstance(came_back, str):
        if came_back not in ("pause", "dead letter"):
            return f"the answer is {WORDS}", "is the word misspelt?"
        late = f"the next attempt would begin {waited + right:g} s after the first failure"
        return (
            f"an attempt is left: this was number {attempt} of {ATTEMPTS}, and {late}",
            "later than that is too late; is that?" if waited + right == TOTAL else "where do you count, from 0 or 1?",
        )
    if isinstance(right, float):
        return (
            f"after attempt 1 the wait is {FIRST:g} s, then twice as long each time, and never longer than {MOST:g} s",
            "what is the wait after attempt 1, after attempt 2, and after attempt 4?",
        )
    if not isinstance(came_back, str):
        if kind == retry.PERMANENT:
            return "no attempt will end otherwise; those behind would wait for nothing", "ask classify first"
        if attempt >= ATTEMPTS:
            return f"this was attempt {attempt}, and there are {ATTEMPTS} at most", "the first time counts, too"
        wait = min(MOST, FIRST * 2 ** (attempt - 1))
        if came_back < wait:
            return (
                f"after attempt {attempt} the wait is {wait:g} s, and that would end later than {TOTAL:g} s after the "
                "first failure",
                "a wait is not cut short: it fits, or no attempt is left",
            )
        return (
            f"the next attempt would begin later than {TOTAL:g} s after the first failure",
            "it begins when the wait is over, not now",
        )
    if came_back not in ("pause", "dead letter"):
        return f"the answer is {WORDS}", "is the word misspelt?"
    if kind == retry.TRANSIENT:
        return (
            "a transient error is not this event's fault: the next event would fail, too",
            "a dead letter of each event helps nobody",
        )
    return (
        f"an error that is {kind} may be this event's fault: a pause would end only when somebody mends it",
        "the last rule",
    )


def _decision(body: str) -> str:
    return f"from labsupport import retry\n\n\ndef decide(attempt, waited, error):\n{body}"


KIND = "    kind = retry.classify(error)\n"
WAIT = "    wait = min(3, 0.5 * 2 ** (attempt - 1))\n"
PERMANENT_FIRST = "    if kind == 'permanent':\n        return 'dead letter'\n"
BOUNDS = "    if attempt < 5 and waited + wait <= 8:\n        return wait\n"
GIVE_UP = "    return 'pause' if kind == 'transient' else 'dead letter'"


# 09-2

Attempts = tuple[tuple[str, bool], ...]
FAULTS = "'poison', 'outage' or 'unknown'"


def _fault(answer: Answer, _: "Lesson") -> str:
    """All stories of up to five attempts, the shortest first; then two long ones."""
    tried = 0
    for length in range(1, 6):
        for story in _stories(length):
            _require_fault(answer, story)
            tried += 1
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(60)]
    for story in (
        (
            *((each, True) for each in ids[:50]),
            (ids[50], False),
            *((each, True) for each in ids[51:]),
            (ids[50], False),
        ),
        (*((each, True) for each in ids[:50]), *((each, False) for each in ids[50:])),
        (*((each, True) for each in ids[:50]), *((ids[50], False) for _ in ids)),
    ):
        _require_fault(answer, story)
        tried += 1
    return f"Right for {tried} stories, from one attempt to {len(ids) + 50}."


def _stories(length: int, begun: Attempts = ()) -> Iterator[Attempts]:
    """Every story of that length whose last attempt failed; events are a, b, c … in the order in which they come.

    An event that worked does not come again.
    """
    if len(begun) == length:
        if not begun[-1][1]:
            yield begun
        return
    known = list(dict.fromkeys(event for event, _ in begun))
    done = {event for event, worked in begun if worked}
    for event in (*known, "abcdefgh"[len(known)]):
        if event not in done:
            for worked in (False, True):
                yield from _stories(length, (*begun, (event, worked)))


def _right_fault(attempts: Attempts) -> str:
    failing: set[str] = set()  # since the last success
    before: set[str] = set()
    for event, worked in attempts:
        if worked:
            before |= failing
            failing = set()
        else:
            failing.add(event)
    if len(failing) > 1:
        return "outage"
    return "poison" if failing <= before else "unknown"


WHY = {
    "outage": (
        "since the last success different events have failed: what is broken is not in one of them",
        "which events have failed since the last one that worked?",
    ),
    "poison": (
        "it failed, another event worked, and it failed again: the system works, this event does not",
        "what worked between two failures of this event?",
    ),
    "unknown": (
        "one event alone has failed since the last success, and no other worked between two of its failures: whether "
        "others would work now, nobody has tried",
        "what worked after the first failure of this event?",
    ),
}


def _require_fault(answer: Answer, story: Attempts) -> None:
    right = _right_fault(story)
    came_back = answer(list(story), returns=str, asks=FAULTS)
    if came_back != right:
        broken, look_at = WHY[right]
        raise TryAgain(
            says=f"This is {right!r}.",
            given=answer.called(list(story)),
            came_back=shown(came_back),
            story=" → ".join(f"{event[:8]} {'works' if worked else 'fails'}" for event, worked in story[-12:]),
            broken=broken,
            look_at=look_at if came_back in WHY else f"the three words are {FAULTS}",
        )


# 09-3

Wire = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]  # key, value, headers

PLAIN: Wire = (b"ORD-123", b"not an event", [("event_type", b"OrderCreated"), ("trace", b"7")])
ODD: tuple[Wire, ...] = (
    (b"ORD-124", b"\xff\xfe", [("tag", b"1"), ("tag", b"2")]),
    (b"ORD-125", None, []),
    (None, b"{", [("trace", None)]),
    (None, None, []),
)
LARGEST = 2_000  # bytes in a record of the dead letter topic that is too small
LARGE: Wire = (b"ORD-124", b"x" * (LARGEST - 100), [])


def _publisher(answer: Answer, lab: "Lesson") -> str:
    """One record of many in hand; odd ones; then a dead letter topic that refuses one."""
    try:
        consumer, records = _in_hand(lab, [PLAIN, *ODD, PLAIN, PLAIN, LARGE, PLAIN])
        dead = lab.dead_letters(records[0].topic)
        _one_of_many(answer, lab, dead, consumer, records)
        _odd_ones(answer, lab, dead, consumer, records[1:-3])
        dead = lab.create_topic(dead, max_message_bytes=LARGEST)
        _refused(answer, lab, dead, consumer, records[-3:])
    finally:
        lab.delete_topics([dead_letter.topic_of(lab.namespace + CHECKED)])
    return "Every record came back as it was; only what was set aside was committed, and nothing when it could not be."


def _one_of_many(
    answer: Answer, lab: "Lesson", dead: str, consumer: KafkaConsumer, records: Sequence[ConsumerRecord]
) -> None:
    error = EventError("not JSON: Expecting value")
    given = f"bury(consumer, producer, record, {error!r}); poll() handed out {len(records)} records, this is the first"
    producer = lab.producer(name="check-letters", **dead_letter.producer_settings())
    _bury(answer, given, consumer, producer, records[0], error)
    producer.flush(timeout=5)
    _require_letters(lab, dead, [(records[0], error)], consumer, given)
    with contextlib.suppress(LabError):  # a commit that was only begun (commit_async) has its time
        until(lambda: _committed(consumer) > 0, 1.0, "the commit")
    committed = _committed(consumer)
    if committed == 1:
        return
    if committed < 1:
        raise TryAgain(
            says="The record was set aside, and is not committed.",
            given=given,
            came_back=f"committed: offset {committed}, of a record with offset 0",
            broken="after a restart it would come again, and be set aside again",
            look_at="what is committed is the next offset: reading.after(record)",
        )
    raise TryAgain(
        says=f"Offset {committed} is committed, and one record of {len(records)} was set aside.",
        given=given,
        came_back=f"committed: offset {committed}",
        broken=f"commit() without offsets commits all that poll() handed out: {committed - 1} are lost if it dies now",
        look_at="reading.after(record) is what to commit after this record",
    )


def _bury(answer: Answer, given: str, *arguments: Any) -> None:
    """Call it; what fails is told with `given`, which is shorter than a record."""
    try:
        answer(*arguments, returns=object)
    except Failed as failed:
        raise failed.but(given=given) from None


def _odd_ones(
    answer: Answer, lab: "Lesson", dead: str, consumer: KafkaConsumer, records: Sequence[ConsumerRecord]
) -> None:
    errors = [EventError("no event"), EventError("no value"), KeyError("amount"), EventError("no value")]
    errors.append(RuntimeError("the database said: " + "x" * 2_000_000))
    producer = lab.producer(name="check-letters", **dead_letter.producer_settings())
    given = [
        f"bury(consumer, producer, record, {shown(error, 60)}), the record: {_described(record)}"
        for record, error in zip(records, errors, strict=True)
    ]
    for record, error, call in zip(records, errors, given, strict=True):
        _bury(answer, call, consumer, producer, record, error)
    producer.flush(timeout=5)
    cases = list(zip(records, errors, strict=True))
    _require_letters(lab, dead, cases, consumer, *given)


def _refused(
    answer: Answer, lab: "Lesson", dead: str, consumer: KafkaConsumer, records: Sequence[ConsumerRecord]
) -> None:
    """The second of three records is too large for the dead letter topic, which is a new one."""
    story, error = [], EventError("not JSON: Expecting value")
    given = f"three records; the dead letter of the second is larger than the topic takes ({LARGEST:,} bytes)"
    for number, record in enumerate(records, 1):
        # Each time a new one: a producer that was refused a record sends nothing any more.
        producer = lab.producer(name="check-letters", **dead_letter.producer_settings())
        try:
            _bury(answer, given, consumer, producer, record, error)
        except Failed as failed:
            if number == 1 or any(end in failed.fields["says"] for end in ("had not ended", "called exit()")):
                raise
            story.append(f"bury(record {number}) raises")
            break
        story.append(f"bury(record {number}) returns")
    committed = _committed(consumer)
    letters = {dead_letter.unwrap(each).offset for each in lab.log(dead).records}
    lost = [n for n, each in enumerate(records, 1) if each.offset < committed and each.offset not in letters]
    told = " → ".join([*story, f"committed: {sum(each.offset < committed for each in records)} of {len(records)}"])
    if lost:
        raise TryAgain(
            says=f"Record {lost[0]} is lost: it is committed, and the broker refused its dead letter.",
            given=given,
            story=told,
            broken="first the dead letter is acknowledged, then the record is committed",
            look_at="which line waits for the acknowledgement? send() returns before it, and flush() does not raise",
        )
    if records[1].offset in letters:
        raise TryAgain(
            says="The dead letter of record 2 was written, and the record as it was does not fit.",
            given=given,
            story=told,
            broken="a dead letter is the record as it was, so that it can be repaired and sent again",
            look_at="what of the record do you leave out? If it is too large, let the error out",
        )
    if len(story) == len(records):
        raise TryAgain(
            says="The dead letter of record 2 was refused, and nobody heard of it.",
            given=given,
            story=told,
            broken="a service that goes on commits the next record, and with it this one",
            look_at="let the error out",
        )


def _in_hand(lab: "Lesson", wires: Sequence[Wire]) -> tuple[KafkaConsumer, list[ConsumerRecord]]:
    """An own topic with these records, and a consumer that was handed all of them; its group is new."""
    topic = lab.topic(CHECKED)
    with closing(ExactProducer(lab.bootstrap)) as other:
        for sending in [other.send(topic, value, key, headers) for key, value, headers in wires]:
            sending.get(10)
    group = lab.group(CHECKED)
    lab.delete_groups([group] if group in lab.groups(group) else [])
    consumer = lab.consumer(name="check", group_id=group, enable_auto_commit=False, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, 0)])
    records: list[ConsumerRecord] = []

    def all_there() -> bool:
        for polled in consumer.poll(timeout_ms=200).values():
            records.extend(polled)
        return len(records) == len(wires)

    until(all_there, 10, "the records to be set aside")
    return consumer, records


def _committed(consumer: KafkaConsumer) -> int:
    (place,) = consumer.assignment()
    return consumer.committed(place, timeout_ms=5_000) or 0


def _require_letters(
    lab: "Lesson", dead: str, wanted: Sequence[tuple[ConsumerRecord, Exception]], consumer: KafkaConsumer, *given: str
) -> None:
    """The last dead letters are those of these records, as they were; each was the call that was `given`."""
    held = lab.log(dead).records
    first = wanted[0][0].offset  # so many were there before
    if len(held) - first != len(wanted):
        raise TryAgain(
            says=f"The dead letter topic holds {len(held)}, and {first + len(wanted)} are due.",
            given=given[0],
            broken="one call sends one dead letter",
            look_at="dead_letter.topic_of(record.topic), and one send()",
        )
    for letter, (record, error), call in zip(held[first:], wanted, given, strict=True):
        _require_letter(letter, record, error, consumer.config["group_id"], call)


def _require_letter(held: ConsumerRecord, record: ConsumerRecord, error: Exception, group: str, given: str) -> None:
    try:
        letter = dead_letter.unwrap(held)
    except dead_letter.NotADeadLetterError as problem:
        raise TryAgain(
            says="dead_letter.unwrap cannot read what you wrote.",
            given=given,
            came_back=f"{_described(held)}: {problem}",
            broken="in a week nobody will know where it lay, and why it is here",
            look_at="dead_letter.wrap(record, error, attempts, group).encode() is key, value, headers: send all three",
        ) from problem
    found = {"key": letter.key, "value": letter.value, "headers": list(letter.headers), "time": letter.timestamp}
    was = {"key": record.key, "value": record.value, "headers": list(record.headers), "time": record.timestamp}
    found |= {"place": letter.place, "group": letter.group, "attempts": letter.attempts}
    was |= {"place": f"{record.topic}/{record.partition}/{record.offset}", "group": group, "attempts": 1}
    for name, right in was.items():
        if found[name] != right:
            raise TryAgain(
                says=f"Not as it was, in the dead letter: the {name}."
                if name not in LOOK_AT
                else f"The dead letter says something else than what was: the {name}.",
                given=given,
                came_back=f"{name}: {shown(found[name], 120)}; it was {shown(right, 120)}",
                broken="whoever repairs it asks who could not process it, and how often it was tried"
                if name in LOOK_AT
                else "a dead letter is the record as it was, so that it can be repaired and sent again",
                look_at=LOOK_AT.get(name, "what of the record do you hand on, and what do you leave out?"),
            )
    if str(error)[:60].strip("'\"") not in letter.message or type(error).__name__ not in letter.error:
        raise TryAgain(
            says="The dead letter does not say which error it was.",
            given=given,
            came_back=f"{letter.error}: {shown(letter.message, 120)}",
            broken="whoever repairs it begins with the error",
            look_at="hand the error itself to dead_letter.wrap",
        )


LOOK_AT = {
    "group": 'consumer.config["group_id"]',
    "attempts": "dead_letter.wrap(record, error, attempts, group)",
}


def _described(record: ConsumerRecord) -> str:
    headers = ", ".join(f"{name}={shown(value, 20)}" for name, value in record.headers[:4]) or "none"
    return f"key {shown(record.key, 20)}, value {shown(record.value, 30)}, headers: {headers}"


CARELESS = """def careless(consumer, producer, record, error):
    consumer.commit()
    headers = [("error", str(error).encode())]
    producer.send(dead_letter.topic_of(record.topic), record.value, headers=headers)"""


def _file(body: str) -> str:
    return f"from labsupport import dead_letter, reading\n\n\ndef bury(consumer, producer, record, error):\n{body}"


LETTER = (
    "    letter = dead_letter.wrap(record, error, 1, consumer.config['group_id'])\n"
    "    key, value, headers = letter.encode()\n"
    "    topic = dead_letter.topic_of(record.topic)\n"
)
SEND = "    producer.send(topic, value, key, headers).get(timeout=10)\n"
COMMIT = "    consumer.commit(reading.after(record))\n"

# fmt: off
EXERCISES = (
    Exercise(
        id="09-1",
        title="What now?",
        difficulty="medium",
        minutes=7,
        call="decide(attempt, waited, error)",
        stub='''def decide(attempt, waited, error):
    """Seconds until the next attempt, or "dead letter", or "pause"."""
    return ...''',
        hints=(
            "Which errors need no look at the clock? And when would the next attempt begin: now, or after its wait?",
            "The wait after attempt n is 0.5 · 2 to the power of n - 1, and at most 3. Another attempt is left if "
            "`attempt < 5` and `waited` and the wait together are at most 8.",
            "`kind = retry.classify(error)`. First \"permanent\"; then, if an attempt is left, the wait; at the end "
            "the one or the other word."),
        reference='''from labsupport import retry


def decide(attempt, waited, error):
    """Seconds until the next attempt, or "dead letter", or "pause"."""
    kind = retry.classify(error)
    wait = min(3, 0.5 * 2 ** (attempt - 1))
    if kind != "permanent" and attempt < 5 and waited + wait <= 8:
        return wait
    return "pause" if kind == "transient" else "dead letter"''',
        explanation="Two bounds, and whichever comes first ends the retries; the wait that is to come counts. What "
        "happens then depends on whose fault it may be. The lab's own, `retry.decide`, adds chance to the waits.",
        wrong=(
            Wrong("retrying fixes everything", _decision(f"{KIND}{WAIT}{BOUNDS}{GIVE_UP}"), "for nothing"),
            Wrong("five attempts are five retries",
                _decision(f"{KIND}{WAIT}{PERMANENT_FIRST}{BOUNDS.replace('< 5', '<= 5')}{GIVE_UP}"), "5 at most"),
            Wrong("the last wait is cut to what is left",
                _decision(f"{KIND}{WAIT}{PERMANENT_FIRST}    if attempt < 5 and waited < 8:\n"
                    f"        return min(wait, 8 - waited)\n{GIVE_UP}"), "not cut short"),
            Wrong("8 s are too late",
                _decision(f"{KIND}{WAIT}{PERMANENT_FIRST}{BOUNDS.replace('<= 8', '< 8')}{GIVE_UP}"),
                "later than that is too late"),
            Wrong("the wait that is to come does not count",
                _decision(f"{KIND}{WAIT}{PERMANENT_FIRST}{BOUNDS.replace('waited + wait', 'waited')}{GIVE_UP}"),
                "begins when the wait is over"),
            Wrong("a doubled wait needs no limit",
                _decision(f"{KIND}{WAIT.replace('min(3, ', 'min(99, ')}{PERMANENT_FIRST}{BOUNDS}{GIVE_UP}"),
                "never longer than 3 s"),
            Wrong("the first wait is doubled already",
                _decision(f"{KIND}{WAIT.replace(' - 1', '')}{PERMANENT_FIRST}{BOUNDS}{GIVE_UP}"),
                "after attempt 1 the wait is 0.5 s"),
            Wrong("what cannot be processed in time is poison",
                _decision(f"{KIND}{WAIT}{PERMANENT_FIRST}{BOUNDS}    return 'dead letter'"), "would fail, too"),
            Wrong("what is unknown will pass",
                _decision(f"{KIND}{WAIT}{PERMANENT_FIRST}{BOUNDS}    return 'pause'"), "somebody mends it"),
            Wrong("an error is transient if its class says so",
                _decision(f"    kind = 'transient' if isinstance(error, retry.TransientError) else 'unknown'\n{WAIT}"
                    f"    if isinstance(error, (retry.PermanentError, ValueError)):\n        return 'dead letter'\n"
                    f"{BOUNDS}{GIVE_UP}"), "ConnectionRefusedError"),
        ),
        other_styles=(
            _decision("    waits = {1: 0.5, 2: 1.0, 3: 2.0, 4: 3.0}\n"
                "    match retry.classify(error):\n"
                "        case 'permanent':\n            return 'dead letter'\n"
                "        case 'transient':\n            last = 'pause'\n"
                "        case _:\n            last = 'dead letter'\n"
                "    wait = waits.get(attempt)\n"
                "    if wait is None or waited > 8 - wait:\n        return last\n"
                "    return wait"),
            "from labsupport import retry\n\n"
            "POLICY = retry.Policy(attempts=5, total=8, first=0.5, most=3, jitter=0)\n\n\n"
            "def decide(attempt, waited, error):\n"
            "    decision = retry.decide(attempt, waited, error, POLICY)\n"
            "    return decision.seconds if decision.what == 'retry' else decision.what",
        ),
        judge=_decide,
    ),
    Exercise(
        id="09-2",
        title="Poison or outage?",
        difficulty="medium",
        minutes=6,
        call="whose_fault(attempts)",
        stub='''def whose_fault(attempts):
    """Why the last attempt failed: "poison", "outage" or "unknown"."""
    return ...''',
        hints=(
            "When one event worked, what does that say of an outage? So what of the past is still of use?",
            "Go through the attempts and keep a set of the events that have failed since the last success. At each "
            "success put them into a second set, and begin anew.",
            "At the end: more than one in the first set is an outage; one that is in the second set, too, is poison."),
        reference='''def whose_fault(attempts):
    """Why the last attempt failed: "poison", "outage" or "unknown"."""
    since, before = set(), set()  # who failed since the last success, and before it
    for event, worked in attempts:
        if worked:
            before |= since
            since = set()
        else:
            since.add(event)
    if len(since) > 1:
        return "outage"
    return "poison" if since <= before else "unknown"''',
        explanation="How often an event failed says little: in an outage the first one fails as often as you try it. "
        "What counts is what others did meanwhile. To say \"outage\" too early costs time, to say \"poison\" too early "
        "sets aside what is healthy.",
        wrong=(
            Wrong("what fails three times is poison",
                "def whose_fault(attempts):\n    last = attempts[-1][0]\n"
                "    failed = [event for event, worked in attempts if not worked]\n"
                "    if failed.count(last) >= 3:\n        return 'poison'\n"
                "    return 'outage' if len(set(failed)) > 1 else 'unknown'", "This is"),
            Wrong("what fails twice is poison",
                "def whose_fault(attempts):\n    event = attempts[-1][0]\n    since = set()\n"
                "    for each, worked in attempts:\n        since = set() if worked else since | {each}\n"
                "    if len(since) > 1:\n        return 'outage'\n"
                "    return 'poison' if attempts.count((event, False)) > 1 else 'unknown'", "nobody has tried"),
            Wrong("others worked a minute ago, so it is the event",
                "def whose_fault(attempts):\n    since = set()\n"
                "    for each, worked in attempts:\n        since = set() if worked else since | {each}\n"
                "    if len(since) > 1:\n        return 'outage'\n"
                "    return 'poison' if any(worked for _, worked in attempts) else 'unknown'", "nobody has tried"),
            Wrong("two failures in a row are an outage",
                "def whose_fault(attempts):\n"
                "    if len(attempts) > 1 and not attempts[-2][1]:\n        return 'outage'\n"
                "    return 'poison' if (attempts[-1][0], False) in attempts[:-1] else 'unknown'", "This is 'unknown'"),
            Wrong("whatever has failed before counts",
                "def whose_fault(attempts):\n"
                "    if len({event for event, worked in attempts if not worked}) > 1:\n        return 'outage'\n"
                "    worked = any(worked for _, worked in attempts)\n"
                "    return 'poison' if worked and attempts.count(attempts[-1]) > 1 else 'unknown'",
                "This is"),
            Wrong("everything that fails is poison",
                "def whose_fault(attempts):\n    return 'poison'", "This is 'unknown'"),
        ),
        other_styles=(
            "def whose_fault(attempts):\n"
            "    worked = [number for number, each in enumerate(attempts) if each[1]]\n"
            "    last = worked[-1] if worked else -1\n"
            "    failing = {event for event, _ in attempts[last + 1:]}\n"
            "    if len(failing) >= 2:\n        return 'outage'\n"
            "    event = failing.pop()\n"
            "    return 'poison' if (event, False) in attempts[:last + 1] else 'unknown'",
            "from itertools import takewhile\n\n\ndef whose_fault(attempts):\n"
            "    tail = list(takewhile(lambda each: not each[1], reversed(attempts)))\n"
            "    before = dict(reversed(attempts[:len(attempts) - len(tail)]))\n"
            "    if any(each != tail[0] for each in tail):\n        return 'outage'\n"
            "    return 'poison' if tail[0][0] in before else 'unknown'",
        ),
        judge=_fault,
    ),
    Exercise(
        id="09-3",
        title="Repair the publisher",
        difficulty="medium",
        minutes=9,
        call="bury(consumer, producer, record, error)",
        file="publisher.py",
        stub=f'''"""Setting aside what cannot be processed: `careless` was found in a service, `bury` is yours."""

from labsupport import dead_letter, reading


{CARELESS}


def bury(consumer, producer, record, error):
    """Write the dead letter; then commit this record, and no other."""
    return ...''',
        hints=(
            "In `careless`, what is committed by which line, and what is known at that moment about the dead letter?",
            "`dead_letter.wrap(record, error, attempts, group)` makes the letter; its `encode()` gives key, value and "
            'headers. The group is `consumer.config["group_id"]`.',
            "Send all three, `get(timeout=10)` what `send` returns, then `consumer.commit(reading.after(record))`. No "
            "`try`: the error shall come out."),
        reference='''from labsupport import dead_letter, reading


def bury(consumer, producer, record, error):
    """Write the dead letter; then commit this record, and no other."""
    letter = dead_letter.wrap(record, error, attempts=1, group=consumer.config["group_id"])
    key, value, headers = letter.encode()
    topic = dead_letter.topic_of(record.topic)
    producer.send(topic, value, key, headers).get(timeout=10)
    consumer.commit(reading.after(record))''',
        explanation="The letter has the record as it was, and maps what this client cannot send. It is acknowledged "
        "before anything is committed, and the commit names this record alone. If the letter is refused, the error "
        "comes out, and the record will come again.",
        wrong=(
            Wrong("the value is all that counts", f"from labsupport import dead_letter\n\n\n{CARELESS}\n\n\n"
                "def bury(consumer, producer, record, error):\n    careless(consumer, producer, record, error)",
                "unwrap cannot read"),
            Wrong("the key is in the value anyway",
                _file(f"{LETTER}{SEND.replace(', key, headers', ', headers=headers')}{COMMIT}"), "the key"),
            Wrong("what is committed can still be written", _file(f"{LETTER}{COMMIT}{SEND}"), "is lost"),
            Wrong("what send() took is stored",
                _file(f"{LETTER}{SEND.replace('.get(timeout=10)', '')}{COMMIT}"), "is lost"),
            Wrong("after flush() all is well",
                _file(f"{LETTER}{SEND.replace('.get(timeout=10)', '')}    producer.flush(timeout=10)\n{COMMIT}"),
                "is lost"),
            Wrong("commit() commits this record", _file(f"{LETTER}{SEND}    consumer.commit()"),
                "are lost if it dies now"),
            Wrong("the service has to go on",
                _file(f"{LETTER}    try:\n    {SEND}    {COMMIT}"
                    "    except Exception as problem:\n        print(problem)"),
                "is lost"),
            Wrong("exit() ends the service, too",
                _file(f"{LETTER}    try:\n    {SEND}    except Exception:\n        raise SystemExit(1)\n{COMMIT}"),
                "called exit()"),
            Wrong("what is too large is cut",
                _file(f"{LETTER}    value = value and value[:1_000]\n{SEND}{COMMIT}"), "does not fit"),
            Wrong("in the end it counts as done",
                _file(f"{LETTER}    try:\n    {SEND}    finally:\n    {COMMIT}"), "is lost"),
            Wrong("committed is the last processed",
                "from kafka import TopicPartition\nfrom kafka.structs import OffsetAndMetadata\n"
                + _file(f"{LETTER}{SEND}    place = TopicPartition(record.topic, record.partition)\n"
                    "    consumer.commit({place: OffsetAndMetadata(record.offset, '', -1)})"), "is not committed"),
            Wrong("every record can be sent as it came",
                _file(f"{LETTER}    headers = [*record.headers, *headers[len(record.headers):]]\n"
                    "    producer.send(topic, record.value, record.key, headers).get(timeout=10)\n" + COMMIT),
                "TypeError"),
            Wrong("a header of a name is enough",
                _file(f"{LETTER}    headers = list(dict(headers).items())\n{SEND}{COMMIT}"), "the headers"),
        ),
        other_styles=(
            "from kafka import TopicPartition\nfrom kafka.structs import OffsetAndMetadata\n"
            + _file("    letter = dead_letter.wrap(record, error, 1, consumer.config['group_id']).encode()\n"
                "    sending = producer.send(f'{record.topic}-dlt', letter[1], key=letter[0], headers=letter[2], "
                "partition=record.partition)\n"
                "    producer.flush()\n"
                "    if not sending.succeeded():\n        raise sending.exception\n"
                "    offsets = {TopicPartition(record.topic, record.partition): "
                "OffsetAndMetadata(record.offset + 1, '', -1)}\n"
                "    consumer.commit(offsets)\n    return True"),
            "from labsupport import Recovery\n\n" + _file("    Recovery(producer).bury(record, error, 1, "
                "consumer.config['group_id'])\n" + COMMIT),
        ),
        judge=_publisher,
        seconds=8.0,
    ),
)
# fmt: on
