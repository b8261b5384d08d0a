"""The inbox: the ids of processed events, written in the same transaction as their effects. Lesson 08.

Kafka delivers an event again whenever it cannot know that the event was processed. To have each effect once, a service
remembers the ids. Because id and effect are in one transaction, a crash leaves both or neither.

Ids must be remembered as long as an event can come again: as long as the topic keeps it (`retention.ms`; somebody may
reset the group to the beginning), and as long as dead letters are kept and redriven. A topic that keeps its records for
ever needs an inbox that does so too. `forget` removes older ids.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from labsupport.errors import LabError

TABLE = "CREATE TABLE IF NOT EXISTS inbox (event_id TEXT PRIMARY KEY, remembered REAL NOT NULL)"


def once(database: sqlite3.Connection, event_id: str, effect: Callable[[], object]) -> bool:
    """Call `effect()`, which writes to `database`, once per event; returns whether it was called now.

    Id and effect are committed together or not at all, even if `effect` raises or the process dies. A
    second process with the same event waits for the first and then finds the id. An inbox belongs to
    one service; two services that share a database need one each. Raises sqlite3.OperationalError if
    the database is locked or full, and LabError if `effect` tries to end the transaction, or if the
    connection commits each statement by itself.
    """
    _require_transactions(database)
    with database:
        mark = "INSERT OR IGNORE INTO inbox VALUES (?, ?)"
        new = database.execute(mark, (event_id, time.time())).rowcount == 1
        if new:
            with _kept_open(database, event_id):
                effect()
    return new


@contextlib.contextmanager
def _kept_open(database: sqlite3.Connection, event_id: str) -> Iterator[None]:
    """Deny COMMIT, ROLLBACK and BEGIN in the body of a `with`. Savepoints are allowed.

    An authorizer that the connection had before is removed.
    """
    if id(database) in _open:
        raise _ended(event_id)  # an inbox inside an effect
    refused: list[int] = []

    def authorize(action: int, *_: object) -> int:
        if action != sqlite3.SQLITE_TRANSACTION:
            return sqlite3.SQLITE_OK
        refused.append(action)
        return sqlite3.SQLITE_DENY

    _open.add(id(database))
    database.set_authorizer(authorize)
    try:
        yield
    except Exception as error:
        if refused:
            raise _ended(event_id) from error
        raise
    finally:
        database.set_authorizer(None)
        _open.discard(id(database))
    if refused or not database.in_transaction:
        raise _ended(event_id)


_open: set[int] = set()  # the ids of connections in whose transaction an effect runs


def _ended(event_id: str) -> LabError:
    return LabError(
        f"The effect of event {event_id} ended the transaction that it was called in, or tried to.",
        "a crash after that would leave the id without the effect, or the reverse, so nothing was committed",
        "take commit(), rollback(), executescript() and `with database` out of the effect: the inbox commits",
    )


def _require_transactions(database: sqlite3.Connection) -> None:
    if database.isolation_level is None or getattr(database, "autocommit", False) is True:  # the latter from 3.12 on
        raise LabError(
            "The inbox needs a transaction, and this connection has none.",
            "it commits each statement by itself, so a crash could leave id and effect apart",
            "open it without isolation_level=None and without autocommit=True; or with orders.database(path)",
        )


def forget(database: sqlite3.Connection, older_than: timedelta) -> int:
    """Remove ids that are older than that by the system's clock; returns how many.

    If one of these events is redelivered, it is processed again.
    """
    with database:
        return database.execute(
            "DELETE FROM inbox WHERE remembered < ?", (time.time() - older_than.total_seconds(),)
        ).rowcount
