"""Exercises of lesson 09, what becomes of an event that nobody can process."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from kafka.errors import KafkaTimeoutError

from labsupport.course.answer import Answer, TryAgain, shown
from labsupport.course.exercise import Exercise, Wrong
from labsupport.course.setting_aside import set_aside
from labsupport.events import retry
from labsupport.events.event import EventError

if TYPE_CHECKING:
    from labsupport.course.session import Lesson


# 09-1

ATTEMPTS, FIRST, MOST, TOTAL = 5, 0.5, 3.0, 8.0
WORDS = "a number of seconds, 'dead letter' or 'pause'"
DUE = (
    0.0,
    0.25,
    0.5,
    1.5,
    3.5,
    4.0,
    5.0,
    5.25,
    6.0,
    6.25,
    7.0,
    7.25,
    7.5,
    7.75,
    8.0,
    20.0,
)  # s since the first failure


def _decide(answer: Answer, _: "Lesson") -> str:
    """Each attempt, from early to late, with errors of each kind."""
    tried = 0
    errors = [(error, retry.classify(error)) for error in _errors()]
    for attempt in range(1, ATTEMPTS + 3):
        for waited in DUE:
            for error, kind in errors:
                _require_decision(answer, attempt, waited, error, kind)
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
        sqlite3.IntegrityError("UNIQUE constraint failed: effects.event_id"),
        KafkaTimeoutError("the broker does not answer"),
        ValueError("amount is negative"),
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


def _require_decision(answer: Answer, attempt: int, waited: float, error: Exception, kind: str) -> None:
    wait = min(MOST, FIRST * 2 ** (attempt - 1))
    left = attempt < ATTEMPTS and waited + wait <= TOTAL
    right: float | str = (
        wait if left and kind != retry.PERMANENT else "pause" if kind == retry.TRANSIENT else "dead letter"
    )
    came_back = answer(attempt, waited, error, returns=(float, str), asks=WORDS)
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
        if attempt == 1 and waited == 0:
            return f"this was the first attempt, and an error that is {kind} is tried again", "what does classify say?"
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
            tried += 1
            _require_fault(answer, _renamed(story, tried))
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
        ((ids[0], False), *((f"{n:08x}", True) for n in range(200)), (ids[0], False)),
        ((ids[0], False), *((ids[1], False) for _ in range(200))),
    ):
        _require_fault(answer, story)
        tried += 1
    return f"Right for {tried} stories, from one attempt to 202."


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


def _renamed(story: Attempts, number: int) -> Attempts:
    """The same story of other events, whose names say nothing of their order."""
    names = {event: event for event, _ in story}
    if number % 2 == 0:
        names = dict(zip(names, reversed([*names]), strict=True))
    return tuple((f"{names[event]}{number // 10 or ''}", worked) for event, worked in story)


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
        stub='''from labsupport import retry


def decide(attempt, waited, error):
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
            Wrong("whatever a database says passes",
                "import sqlite3\n" + _decision(KIND.replace("retry.classify(error)",
                    "'transient' if isinstance(error, sqlite3.Error) else retry.classify(error)")
                    + f"{WAIT}{PERMANENT_FIRST}{BOUNDS}{GIVE_UP}"), "IntegrityError"),
            Wrong("a value that is wrong stays wrong",
                _decision(KIND.replace("retry.classify(error)",
                    "'permanent' if isinstance(error, ValueError) else retry.classify(error)")
                    + f"{WAIT}{PERMANENT_FIRST}{BOUNDS}{GIVE_UP}"), "amount is negative"),
            Wrong("an error is transient if its class says so",
                _decision(f"    kind = 'transient' if isinstance(error, retry.TransientError) else 'unknown'\n{WAIT}"
                    "    if isinstance(error, (retry.PermanentError, retry.EventError)):\n"
                    f"        return 'dead letter'\n{BOUNDS}{GIVE_UP}"), "ConnectionRefusedError"),
        ),
        other_styles=(
            "from decimal import Decimal\nfrom fractions import Fraction\n\n" + _decision(f"{KIND}"
                f"    wait = min(Fraction(3), Fraction(1, 2) * 2 ** (attempt - 1))\n{PERMANENT_FIRST}"
                "    if attempt < 5 and waited + wait <= 8:\n"
                f"        return wait if attempt % 2 else Decimal(str(float(wait)))\n{GIVE_UP}"),
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
            Wrong("what is long past is no longer true",
                "def whose_fault(attempts):\n    since, before = set(), set()\n"
                "    for event, worked in attempts[-100:]:\n        if worked:\n            before |= since\n"
                "            since = set()\n        else:\n            since.add(event)\n"
                "    if len(since) > 1:\n        return 'outage'\n"
                "    return 'poison' if since <= before else 'unknown'", "what worked between two failures"),
            Wrong("one history is enough for all",
                "def whose_fault(attempts, before=set()):\n    since = set()\n"
                "    for event, worked in attempts:\n        if worked:\n            before |= since\n"
                "            since = set()\n        else:\n            since.add(event)\n"
                "    if len(since) > 1:\n        return 'outage'\n"
                "    return 'poison' if since <= before else 'unknown'", "nobody has tried"),
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
                "would be lost if it dies now"),
            Wrong("what was handed out of the other partition is done, too",
                "from kafka import TopicPartition\n" + _file(f"{LETTER}{SEND}"
                    "    consumer.seek(TopicPartition(record.topic, record.partition), record.offset + 1)\n"
                    "    consumer.commit()"), "of each partition: 3 records would be lost"),
            Wrong("a topic has one partition",
                "from kafka import TopicPartition\nfrom kafka.structs import OffsetAndMetadata\n"
                + _file(f"{LETTER}{SEND}    place = TopicPartition(record.topic, 0)\n"
                    "    consumer.commit({place: OffsetAndMetadata(record.offset + 1, '', -1)})"), "is not committed"),
            Wrong("the service has to go on",
                _file(f"{LETTER}    try:\n    {SEND}    {COMMIT}"
                    "    except Exception as problem:\n        print(problem)"),
                "as if nothing had happened"),
            Wrong("what could not be sent is committed all the same",
                _file(f"{LETTER}    try:\n    {SEND}    except Exception:\n        pass\n{COMMIT}"), "is lost"),
            Wrong("a refusal is logged, and that is enough",
                _file(f"{LETTER}    sending = producer.send(topic, value, key, headers)\n    try:\n"
                    "        sending.get(timeout=10)\n    except Exception as problem:\n        print(problem)\n"
                    + COMMIT), "it is waited for, and refused"),
            Wrong("a commit that fails can be made up for later",
                _file(f"{LETTER}{SEND}    try:\n    {COMMIT}    except Exception as problem:\n        print(problem)"),
                "commit() raised an error"),
            Wrong("the letters of one morning need one producer and one group",
                "GROUPS = []\n" + _file("    GROUPS.append(consumer.config['group_id'])\n"
                    + LETTER.replace(", 1,", ", len(GROUPS),") + SEND + COMMIT), "the attempts"),
            Wrong("exit() ends the service, too",
                _file(f"{LETTER}    try:\n    {SEND}    except Exception:\n        raise SystemExit(1)\n{COMMIT}"),
                "let the error out: whoever runs the service"),
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
            _file(f"{LETTER}{SEND}{COMMIT.replace('commit', 'commit_async')}"),
            "from labsupport import Recovery\n\n" + _file("    Recovery(producer).bury(record, error, 1, "
                "consumer.config['group_id'])\n" + COMMIT),
        ),
        points_at=("ep-3", "ep-4"),
        judge=set_aside,
        seconds=8.0,
    ),
)
# fmt: on
