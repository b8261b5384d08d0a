"""Change data capture in miniature: each row of a table that is inserted or updated is published as it is then.

Tools such as Debezium read a database's log to the same effect. Lesson 16 shows what its readers get. Lesson 17 has an
outbox instead.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from labsupport.broker.cluster import Cluster
from labsupport.experiments.breaking import json_records

_CAPTURE = "CREATE TRIGGER after_{what} AFTER {what} ON {table} BEGIN INSERT INTO changed VALUES (new.rowid); END;"


class CapturedTable:
    """A table in memory, whose changed rows go to `topic`: a JSON object each, with the column names of the moment."""

    def __init__(self, kafka: Cluster, topic: str, name: str, columns: str):
        self.kafka, self.topic, self.name = kafka, topic, name
        self.database = sqlite3.connect(":memory:")
        self.database.row_factory = sqlite3.Row
        self.database.executescript(f"CREATE TABLE {name} ({columns}); CREATE TABLE changed (number INTEGER);")
        for what in ("INSERT", "UPDATE"):
            self.database.execute(_CAPTURE.format(what=what, table=name))

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Execute a statement, and publish each row that it changed; returns when all are acknowledged."""
        self.database.execute(statement, values)
        changed = self.database.execute(f"SELECT t.* FROM changed JOIN {self.name} t ON t.rowid = number").fetchall()
        json_records.send(self.kafka, self.topic, map(dict, changed))
        self.database.execute("DELETE FROM changed")
        self.database.commit()
