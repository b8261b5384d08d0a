"""An outbox and a relay that is crashed: at each of its SQL statements, at each send, at each acknowledgement."""

import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from kafka.future import Future

from labsupport.broker.cluster import Cluster
from labsupport.delivery import outbox
from labsupport.experiments.breaking import faults, forkserver
from labsupport.experiments.breaking.faults import At, Fault
from labsupport.experiments.breaking.trial import DATABASE, TrialRun, run_processes, summarized

# Neither a row number nor the order of insertion is the order of the ids.
TABLE = (
    "CREATE TABLE outbox (id INTEGER NOT NULL UNIQUE, topic TEXT NOT NULL, key BLOB, value BLOB, sent INTEGER NOT NULL)"
)
SENDING, ACKNOWLEDGED = "sending", "acknowledged"
# What a connection can hold: the one after it has written, the other while a SELECT is not read to its end.
WRITING, READING = "writing", "reading"
PATIENT = 60  # seconds
LOOK = 0.005  # seconds between two looks at the relay; after STILL looks at one place it waits for something
STILL = 60
MOMENT = 1.0  # seconds, for which a lock is no harm
Relay = Callable[[sqlite3.Connection, KafkaProducer], object]


@dataclass(frozen=True)
class Row:
    """A row of the outbox."""

    id: int
    topic: str
    key: bytes
    value: bytes


class Asked(KafkaProducer):
    """A producer that is slow: it sends nothing before somebody waits for an acknowledgement, or flushes.

    Then it sends all that waits. So a relay is found on every machine that does not wait, or only after its next send.
    Whoever waits for something else, such as an event that a callback sets, stands STILL at one place. Callbacks run in
    another thread, as with any producer. `at` gets the points, `acknowledging` is called before each record is sent.
    """

    def __init__(
        self, at: Callable[[str], object], acknowledging: Callable[[], object] = lambda: None, **settings: Any
    ):
        """Call this in the thread of the relay."""
        self.at, self.acknowledging = at, acknowledging
        self.waiting: list[tuple[Answer, tuple, dict]] = []
        self.asked, self.closing = threading.Event(), threading.Event()
        self._relay, self._sending = threading.get_ident(), threading.Thread(target=self._deliver, daemon=True)
        super().__init__(**settings)
        self._sending.start()

    def send(self, topic: str, *arguments: Any, **named: Any) -> Any:
        """As KafkaProducer.send."""
        self.at(SENDING)
        answer = Answer(self)
        self.waiting.append((answer, (topic, *arguments), named))
        return answer

    def flush(self, timeout: float | None = None) -> None:
        """As KafkaProducer.flush."""
        self.ask()
        super().flush(timeout=timeout)

    def close(self, timeout: float | None = None, **named: Any) -> None:
        """As KafkaProducer.close, but it does not send what waits."""
        self.closing.set()
        super().close(timeout=timeout, **named)

    def ask(self) -> None:
        """Wait until all that waits has been sent, and has its outcome."""
        if threading.current_thread() is not self._sending:  # a callback, whose record has its outcome
            while self.waiting and not self.closing.is_set():
                self.asked.set()
                time.sleep(LOOK)

    def _deliver(self) -> None:
        seen, looks = (0, 0), 0
        while not self.closing.is_set():
            if self.asked.wait(LOOK) or looks >= STILL:
                while self.waiting and not self.closing.is_set():
                    self._deliver_oldest()
                self.asked.clear()
                looks = 0
            frame = sys._current_frames().get(self._relay)
            place = (id(frame), frame.f_lasti) if frame else (0, 0)
            looks = looks + 1 if self.waiting and place == seen else 0
            seen = place

    def _deliver_oldest(self) -> None:
        answer, arguments, named = self.waiting[0]
        self.acknowledging()
        try:
            found = super().send(*arguments, **named).get(timeout=PATIENT)
        except Exception as error:  # what the client refuses at once comes out of `get`, too
            answer.failure(error)
        else:
            self.at(ACKNOWLEDGED)
            answer.success(found)
        self.waiting.pop(0)


class Answer(Future):
    """The future of a record that is sent when somebody waits for it."""

    def __init__(self, producer: Asked):
        self._producer = producer
        super().__init__()

    def get(self, timeout: float | None = None) -> Any:
        """As FutureRecordMetadata.get."""
        del timeout
        self._producer.ask()
        if self.exception is not None:
            raise self.exception
        return self.value

    @property
    def value(self) -> Any:
        """As Future.value."""
        self._ask()
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        self._value = value

    @property
    def is_done(self) -> bool:  # type: ignore[override]
        """As Future.is_done."""
        self._ask()
        return self._is_done

    @is_done.setter
    def is_done(self, done: bool) -> None:
        self._is_done = done

    def _ask(self) -> None:
        if not self._lock.locked():  # add_callback and success look at themselves, too, and do not wait
            self._producer.ask()


def create(path: Path, rows: Sequence[Row]) -> None:
    """Create a database with these rows in its outbox, none of them sent."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(TABLE)
        add(database, rows)


def add(database: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Write rows into the outbox, in this order."""
    values = [(row.id, row.topic, row.key, row.value) for row in rows]
    database.executemany("INSERT INTO outbox VALUES (?, ?, ?, ?, 0)", values)


def marked(path: Path) -> dict[int, bool]:
    """By id, whether another connection sees sent = 1 in the row."""
    with closing(sqlite3.connect(path)) as database:
        return {each: sent == 1 for each, sent in database.execute("SELECT id, sent FROM outbox ORDER BY id")}


def lock(path: Path) -> str:
    """Why no other connection can write and commit now: WRITING or READING; empty if one can."""
    with closing(sqlite3.connect(path, timeout=MOMENT, isolation_level=None)) as other:
        for begin, held in (("BEGIN IMMEDIATE", WRITING), ("BEGIN EXCLUSIVE", READING)):
            try:
                other.execute(begin)
            except sqlite3.OperationalError:
                return held
            other.execute("ROLLBACK")
    return ""


def settings(kafka: Cluster, name: str) -> dict[str, Any]:
    """A relay's, but not idempotent: after a refusal, this client's idempotent producer sends nothing more."""
    return kafka.config("producer", client_id=name, **(outbox.PRODUCER | {"enable_idempotence": False}))


def points(run: TrialRun) -> Iterator[tuple[str, str, Fault]]:
    """Each point that an undisturbed run passed: in words, its name, and the crash there."""
    passed: dict[str, int] = {}
    for moment in run.moments:
        passed[moment.point] = number = passed.get(moment.point, 0) + 1
        if moment.point == SENDING:
            words = f"before it sent its record {number}"
        elif moment.point == ACKNOWLEDGED:
            words = f"after record {number} was acknowledged"
        else:
            words = f"just before its SQL statement {moment.point}" + (f" (number {number})" if number > 1 else "")
        yield f"The relay died {words}.", moment.point, faults.crash(moment.point, number)


def play(kafka: Cluster, relay: Relay, folder: Path, crashes: Sequence[Fault] = ()) -> TrialRun:
    """Let the relay work on the folder's outbox in a process that dies there, and start it again until it returns."""
    start = forkserver.shared().start
    return run_processes(
        kafka, serve, (str(folder / DATABASE), relay), "relay", folder, crashes, start=start, seconds=PATIENT
    )


def serve(kafka: Cluster, at: At, path: str, relay: Relay) -> None:
    """In the child process: call the relay with a connection and a producer that report where they are."""

    def statement(sql: str) -> None:
        verb, words = summarized(sql)
        at(words if verb not in ("BEGIN", "COMMIT") else verb)

    producer = Asked(at, **settings(kafka, "relay"))
    with closing(sqlite3.connect(path, timeout=5.0)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.set_trace_callback(statement)
        relay(database, producer)
