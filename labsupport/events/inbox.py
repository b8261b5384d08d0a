"""The inbox: which events a service has already processed, in the same transaction as what it did. Lesson 08.

Kafka hands an event out again whenever it cannot know that it was processed. Whoever wants each effect once has to
remember the events; and since the memory changes in the same transaction as the effect, a crash leaves both or
neither.

How long must it remember? As long as an event can come again: as far back as the topic is kept (`retention.ms`;
somebody may reset the group to the beginning), and as dead letters are kept and redriven. A topic that is kept for ever
needs an inbox that is kept for ever. `forget` takes out what is older.
"""

import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta

from labsupport.base import LabError

TABLE = "CREATE TABLE IF NOT EXISTS inbox (event_id TEXT PRIMARY KEY, remembered REAL NOT NULL)"


def once(database: sqlite3.Connection, event_id: str, effect: Callable[[], object]) -> bool:
    """Call `effect()`, which writes to `database`, once for each event; returns whether it was called now.

    Id and effect are committed together, or neither: also if `effect` raises, and if the process
    dies. A second process with the same event waits for the first, and then finds the id. The inbox
    belongs to one service: two that share a database need one each. Raises sqlite3.OperationalError
    if the database is locked or full, and LabError if `effect` ended the transaction.
    """
    with database:
        mark = "INSERT OR IGNORE INTO inbox VALUES (?, ?)"
        new = database.execute(mark, (event_id, time.time())).rowcount == 1
        if new:
            effect()
            if not database.in_transaction:
                raise LabError(
                    f"The effect of event {event_id} ended the transaction that it was called in.",
                    "a crash now would leave the one without the other",
                    "take commit(), rollback() and `with database` out of the effect: the inbox commits",
                )
    return new


def forget(database: sqlite3.Connection, older_than: timedelta) -> int:
    """Take out what was remembered longer ago than that, by the system's clock; returns how many ids.

    If one of these events comes again, it is processed again.
    """
    with database:
        return database.execute(
            "DELETE FROM inbox WHERE remembered < ?", (time.time() - older_than.total_seconds(),)
        ).rowcount
