"""A service of lesson 15 as a process: it handles events, and keeps rows and times in a database of its own.

`http_service` is asked for each event, `event_service` reads it from a topic. Both call the same handler.
"""

import contextlib
import random
import sqlite3
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from labsupport.delivery import inbox, orders
from labsupport.errors import LabError, TransientError
from labsupport.experiments.breaking.python_process import ChildProcess
from labsupport.shop.event import Event
from labsupport.waiting import until

Handle = Callable[[Event, sqlite3.Connection], object]

DONE = "CREATE TABLE IF NOT EXISTS done (event_id TEXT NOT NULL, at REAL NOT NULL)"
SECONDS = 60.0  # to handle what waits
PATIENCE = 30.0  # seconds that a statement waits for another thread's: never an experiment's outcome


def take_effect(event: Event, database: sqlite3.Connection) -> None:
    """Write the event's row each time that it comes."""
    with database:
        orders.effect(database, event)


def take_effect_once(event: Event, database: sqlite3.Connection) -> None:
    """Write the event's row, once, however often it comes: the handler of lesson 08."""
    inbox.once(database, event.event_id, lambda: orders.effect(database, event))


@dataclass
class Work:
    """What the service `name` does for an event: call `handle(event, database)`, and note when it was done.

    The work takes `takes` seconds more. Of all events it accepts the part `available` (0 to 1) at once; the others
    raise TransientError the first time. Which ones depends on service and event only.
    """

    name: str
    database: Path
    handle: Handle = take_effect_once
    takes: float = 0.0
    available: float = 1.0
    refused: set[str] = field(default_factory=set)

    def __call__(self, event: Event) -> None:
        """Each call has a connection of its own, because each request has its thread. Errors of `handle` come out."""
        if event.event_id not in self.refused and self._chance(event) >= self.available:
            self.refused.add(event.event_id)
            raise TransientError(f"{self.name} is not available now")
        time.sleep(self.takes)
        with contextlib.closing(orders.database(self.database, patience=PATIENCE)) as connection:
            self.handle(event, connection)
            with connection:
                connection.execute("INSERT INTO done VALUES (?, ?)", (event.event_id, time.monotonic()))

    def _chance(self, event: Event) -> float:
        return random.Random(f"{self.name} {event.event_id}").random()


class ServiceProcess(ABC):
    """The process of one service; its `database`, made empty at first, survives each kill."""

    def __init__(self, name: str, database: Path, **work: Any):
        """`work` as in Work: handle, takes, available."""
        self.name, self.work = name, Work(name, orders.create(database), **work)
        with contextlib.closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(DONE)
        self._child: ChildProcess | None = None
        self._running = contextlib.ExitStack()

    @property
    def database(self) -> Path:
        """The file with its rows."""
        return self.work.database

    @property
    def rows(self) -> Counter[str]:
        """How often each event took effect, by event id."""
        return orders.effects(self.database)

    @property
    def done(self) -> dict[str, float]:
        """When each event was handled, by event id, in seconds of `time.monotonic`; for repetitions the first time."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=PATIENCE)) as connection:
            return dict(connection.execute("SELECT event_id, min(at) FROM done GROUP BY event_id"))

    def until_rows(self, count: int) -> None:
        """Wait until this many events have taken effect. Raises LabError after SECONDS."""
        until(lambda: len(self.rows) >= count, SECONDS, f"{self.name} to handle {count} events")

    def start(self) -> None:
        """Start the process, and return when it is ready for events. Raises LabError if it runs, or ends at once."""
        if self._child:
            raise LabError(f"{self.name} is running.", "", "kill() ends it")
        self._child = self._running.enter_context(self._launch())
        self._until_ready(self._child)

    def kill(self) -> None:
        """End the process at once (SIGKILL). Harmless if it does not run."""
        self._child = None
        self._running.close()

    def freeze(self) -> None:
        """Freeze the process (SIGSTOP): it answers nothing, and its connections stay open."""
        self._its_child.process.pause()

    def wake(self) -> None:
        """Let a frozen process continue."""
        self._its_child.process.resume()

    @property
    def _its_child(self) -> ChildProcess:
        if self._child is None:
            raise LabError(f"{self.name} does not run.", "it was killed, or not started", "start() starts it")
        return self._child

    @abstractmethod
    def _launch(self) -> AbstractContextManager[ChildProcess]:
        """Start the process for the body of a `with`."""

    @abstractmethod
    def _until_ready(self, child: ChildProcess) -> None:
        """Return when events can come."""


Service = TypeVar("Service", bound=ServiceProcess)


@contextlib.contextmanager
def running(services: Mapping[str, Service]) -> Iterator[Mapping[str, Service]]:
    """Start these services for the body of a `with`; at the end they are killed, and their databases stay."""
    try:
        for service in services.values():
            service.start()
        yield services
    finally:
        for service in services.values():
            service.kill()


@contextlib.contextmanager
def dead(*services: ServiceProcess) -> Iterator[None]:
    """Kill these services for the body of a `with` (SIGKILL); afterwards they are started again."""
    for service in services:
        service.kill()
    try:
        yield
    finally:
        for service in services:
            service.start()


def require_alive(child: ChildProcess) -> bool:
    """Return True; raises LabError with what the process printed if it has ended by itself."""
    if not child.process.alive:
        raise LabError(f"{child.process.name} ended by itself.", child.process.tail(), "mend that, and try again")
    return True
