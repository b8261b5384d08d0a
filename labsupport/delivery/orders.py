"""The shop's database: what became of the events. "Processed" is a row here that one can count.

SQLite, in one file, so that what a process wrote is there after it was killed.
"""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from labsupport.delivery import inbox
from labsupport.errors import LabError
from labsupport.shop import story
from labsupport.shop.event import Event

TABLE = "CREATE TABLE IF NOT EXISTS effects (event_id TEXT NOT NULL, key TEXT NOT NULL, amount TEXT NOT NULL)"


def database(path: Path | str, *, patience: float = 5.0) -> sqlite3.Connection:
    """Open the database, with its tables `effects` and `inbox`; the caller closes it.

    `patience`: how many seconds a statement waits while another connection writes; then it raises
    sqlite3.OperationalError ("database is locked").
    """
    connection = sqlite3.connect(path, timeout=patience)
    # A process that is killed loses nothing by this; a power cut could, and would cost each transaction milliseconds.
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        connection.execute(TABLE)
        connection.execute(inbox.TABLE)
    return connection


def create(path: Path) -> Path:
    """An empty database in that file, in place of an earlier one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for file in path.parent.glob(f"{path.name}*"):  # an earlier one's journal too
        file.unlink()
    database(path).close()
    return path


def effect(database: sqlite3.Connection, event: Event) -> None:
    """What processing this event does: one row, in the transaction that is open or else in a new one."""
    row = (event.event_id, story.key_of(event).decode(), str(event.payload.get("amount", "")))
    database.execute("INSERT INTO effects VALUES (?, ?, ?)", row)


def effects(path: Path | str) -> Counter[str]:
    """How many effects each event has, by event id. Raises LabError if there is no such database."""
    if not Path(path).is_file():
        raise LabError(f"There is no database {path}.", "", "has the service run that writes it?")
    with closing(sqlite3.connect(path, timeout=5.0)) as connection:
        return Counter(str(event_id) for (event_id,) in connection.execute("SELECT event_id FROM effects"))
