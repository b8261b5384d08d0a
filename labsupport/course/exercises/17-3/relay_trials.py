"""An outbox and a relay that is crashed: at each of its SQL statements, at each send, at each acknowledgement."""

import sqlite3
import threading
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
    Callbacks run in another thread, as with any producer. `at` gets the points, `acknowledging` is called before.
    """

    def __init__(
        self, at: Callable[[str], object], acknowledging: Callable[[], object] = lambda: None, **settings: Any
    ):
        self.at, self.acknowledging = at, acknowledging
        self.waiting: list[tuple[Answer, tuple, dict]] = []
        super().__init__(**settings)

    def send(self, topic: str, *arguments: Any, **named: Any) -> Any:
        """As KafkaProducer.send."""
        self.at(SENDING)
        answer = Answer(self)
        self.waiting.append((answer, (topic, *arguments), named))
        return answer

    def flush(self, timeout: float | None = None) -> None:
        """As KafkaProducer.flush."""
        while self.waiting:
            self.deliver()
        super().flush(timeout=timeout)

    def deliver(self) -> None:
        """Send the oldest record, and wait for its outcome."""
        answer, arguments, named = self.waiting.pop(0)
        self.acknowledging()
        try:
            found = super().send(*arguments, **named).get(timeout=PATIENT)
        except Exception as error:  # what the client refuses at once comes out of `get`, too
            _apart(answer.failure, error)
        else:
            _apart(answer.success, found)
            self.at(ACKNOWLEDGED)


def _apart(function: Callable[[Any], object], argument: Any) -> None:
    thread = threading.Thread(target=function, args=(argument,), daemon=True)
    thread.start()
    thread.join()


class Answer(Future):
    """The future of a record that is sent when somebody asks for it."""

    def __init__(self, producer: Asked):
        self._producer = producer
        super().__init__()

    def get(self, timeout: float | None = None) -> Any:
        """As FutureRecordMetadata.get."""
        del timeout
        self._ask()
        if self.exception is not None:
            raise self.exception
        return self.value

    @property
    def is_done(self) -> bool:  # type: ignore[override]
        """As Future.is_done."""
        if not self._lock.locked():  # add_callback looks at it, too, and does not wait
            self._ask()
        return self._is_done

    @is_done.setter
    def is_done(self, done: bool) -> None:
        self._is_done = done

    def succeeded(self) -> bool:
        """As Future.succeeded."""
        self._ask()
        return super().succeeded()

    def failed(self) -> bool:
        """As Future.failed."""
        self._ask()
        return super().failed()

    def _ask(self) -> None:
        while self._producer.waiting:
            self._producer.deliver()


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
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
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
