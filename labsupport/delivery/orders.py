"""The shop's database: an event is processed when it has a row here.

SQLite keeps it in one file, so that rows survive the process that wrote them.
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

    A statement waits `patience` seconds while another connection writes, then raises sqlite3.OperationalError
    ("database is locked").
    """
    connection = sqlite3.connect(path, timeout=patience)
    # A killed process loses nothing by this, only a power cut could; each transaction is milliseconds faster.
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        connection.execute(TABLE)
        connection.execute(inbox.TABLE)
    return connection


def create(path: Path) -> Path:
    """Create an empty database in that file, replacing an earlier one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for file in path.parent.glob(f"{path.name}*"):  # an earlier one's journal too
        file.unlink()
    database(path).close()
    return path


def effect(database: sqlite3.Connection, event: Event) -> None:
    """Process the event: write one row, in the open transaction or a new one."""
    row = (event.event_id, story.key_of(event).decode(), str(event.payload.get("amount", "")))
    database.execute("INSERT INTO effects VALUES (?, ?, ?)", row)


def effects(path: Path | str) -> Counter[str]:
    """The number of effects by event id. Raises LabError if there is no such database."""
    if not Path(path).is_file():
        raise LabError(f"There is no database {path}.", "", "has the service that writes it run?")
    with closing(sqlite3.connect(path, timeout=5.0)) as connection:
        return Counter(str(event_id) for (event_id,) in connection.execute("SELECT event_id FROM effects"))
