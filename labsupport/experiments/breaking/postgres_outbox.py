"""An outbox in a database with several writers: what a relay sees of it. Lesson 17, extra.

PostgreSQL gives out numbers when a row is written, and shows the row when its transaction commits. So a row with a
lower number can appear after one with a higher number.
"""

from typing import TYPE_CHECKING, Any

from labsupport.experiments.breaking.postgres import Postgres, ids

if TYPE_CHECKING:
    import pandas

TABLE = """
CREATE TABLE outbox (
    id bigserial PRIMARY KEY, name text NOT NULL, sent boolean NOT NULL DEFAULT false,
    tx xid8 NOT NULL DEFAULT pg_current_xact_id()
)
"""
# What a relay asks for, by its way to go on; `last` is the highest id that it has sent.
LOOKS = {
    "id > last": "SELECT id, name FROM outbox WHERE id > %(last)s ORDER BY id",
    "not sent": "SELECT id, name FROM outbox WHERE NOT sent AND id > 0 * %(last)s ORDER BY id",
    "older than every open transaction": "SELECT id, name FROM outbox WHERE NOT sent AND id > 0 * %(last)s "
    "AND tx < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY id",
}
SLOT = "lab"


def gap(postgres: Postgres) -> "pandas.DataFrame":
    """A writes row 1, B writes row 2 and commits, the relay looks; A commits, the relay looks again.

    A row for each way to look: what it saw at each look, and what it will never send. The last row is the database's
    own log, read by a replication slot.
    """
    import pandas

    admin = _fresh(postgres)
    admin.execute("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", (SLOT,))
    a, b = postgres.connect(), postgres.connect()
    a.execute("INSERT INTO outbox (name) VALUES ('A')")
    b.execute("INSERT INTO outbox (name) VALUES ('B')")
    b.commit()
    first = {way: _look(admin, query, 0) for way, query in LOOKS.items()}
    logged = [_from_the_log(admin)]
    a.commit()
    rows = {}
    for way, query in LOOKS.items():
        with admin.transaction(force_rollback=True):  # each way marks what it has sent, for itself
            admin.execute("UPDATE outbox SET sent = true WHERE name = ANY(%s)", (first[way],))
            last = max(ids(admin.execute("SELECT id FROM outbox WHERE sent").fetchall()), default=0)
            rows[way] = (first[way], _look(admin, query, last))
    logged.append(_from_the_log(admin))
    rows["the database's log"] = (logged[0], logged[1])
    admin.execute("SELECT pg_drop_replication_slot(%s)", (SLOT,))
    found = {
        way: [*map(_said, looks), _said(sorted({"A", "B"} - {*looks[0], *looks[1]}))] for way, looks in rows.items()
    }
    return pandas.DataFrame.from_dict(found, "index", columns=["B has committed", "A has, too", "never sent"])


def two_relays(postgres: Postgres) -> "pandas.DataFrame":
    """Two relays at the same time, of which each takes three of six rows: without a lock, and skipping locked rows."""
    import pandas

    found = {}
    for way, lock in (("plain", ""), ("for update skip locked", "FOR UPDATE SKIP LOCKED")):
        _fresh(postgres).execute("INSERT INTO outbox (name) SELECT 'row' FROM generate_series(1, 6)")
        relays = [postgres.connect(), postgres.connect()]
        query = f"SELECT id FROM outbox WHERE NOT sent ORDER BY id LIMIT 3 {lock}"
        found[way] = [_said(ids(relay.execute(query).fetchall())) for relay in relays]
        for relay in relays:
            relay.rollback()
    return pandas.DataFrame.from_dict(found, "index", columns=["first relay", "second relay"])


def _fresh(postgres: Postgres) -> Any:
    """A connection that commits each statement, and an empty outbox."""
    admin = postgres.connect(autocommit=True)
    admin.execute("DROP TABLE IF EXISTS outbox")
    admin.execute(TABLE)
    return admin


def _look(connection: Any, query: str, last: int) -> list[str]:
    return [name for _, name in connection.execute(query, {"last": last}).fetchall()]


def _from_the_log(connection: Any) -> list[str]:
    """The names of the rows that the log has, in the order of their commits; the slot remembers where it was."""
    query = "SELECT data FROM pg_logical_slot_get_changes(%s, NULL, NULL)"
    changes = ids(connection.execute(query, (SLOT,)).fetchall())
    return [each.split("name[text]:'")[1][0] for each in changes if "INSERT" in each]


def _said(names: list[Any]) -> str:
    return ", ".join(map(str, names)) or "–"
