"""Debezium, the tool that most use as a relay: Kafka Connect as a process of the lab. Lesson 17, extra.

It reads the database's own log, through a replication slot, and publishes each row that is inserted into the outbox. So
nothing has to be marked, and rows may be deleted at once. Fetched only when asked for: jars that are pinned as
Kafka's are, and run on the lab's Java.
"""

import contextlib
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labsupport.broker import background, jars
from labsupport.broker.java_runtime import ENVIRONMENT, JAVA, JVM_FLAGS, TEMPORARY
from labsupport.broker.process import Process, write_atomically
from labsupport.broker.processes import java_marks
from labsupport.client_properties import properties, security
from labsupport.connection import Connection
from labsupport.errors import LabError
from labsupport.experiments.breaking.postgres import Postgres
from labsupport.interrupts import interrupts_wait
from labsupport.ports import free_port
from labsupport.settings import Settings
from labsupport.waiting import until

LOCK = Path(__file__).with_name("debezium.lock")
TABLE = """
CREATE TABLE outbox (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text NOT NULL, aggregateid text NOT NULL,
    type text NOT NULL, payload jsonb NOT NULL
)
"""
NAME, SLOT = "outbox", "debezium"
CONNECTOR = {
    "name": NAME,
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "database.hostname": "127.0.0.1",
    "database.user": "lab",
    "database.dbname": "postgres",
    "plugin.name": "pgoutput",
    "slot.name": SLOT,
    "snapshot.mode": "no_data",
    "table.include.list": "public.outbox",
    "topic.prefix": "lab",
    "transforms": "outbox",
    "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
    "transforms.outbox.table.fields.additional.placement": "type:header:event_type",
    "transforms.outbox.table.expand.json.payload": "false",
}
WORKER = {
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    "offset.storage.file.filename": "offsets",
    "offset.flush.interval.ms": "500",
    "plugin.path": "plugins",  # nothing: all is on the class path
    "plugin.discovery": "service_load",
}


def provide(settings: Settings) -> list[Path]:
    """Return the verified jars in the user's cache; fetch them if they are missing. Raises as `jars.ensure` does."""
    return jars.provide("Debezium", jars.pinned(LOCK), _folder(settings), settings)


def fetched(settings: Settings) -> bool:
    """Whether the jars are in the cache."""
    return not jars.missing(jars.pinned(LOCK), _folder(settings))


@contextlib.contextmanager
def running(settings: Settings, kafka: Connection, postgres: Postgres, prefix: str) -> Iterator[Process]:
    """Run Debezium for the body of a `with`, when it reads the database's log.

    It creates the table `outbox` (TABLE), and publishes its rows to the topics `<prefix><aggregatetype>`, keyed by
    `aggregateid`, with the headers `id` and `event_type`. It ends with this program at the latest. Raises LabError with
    the end of its log if it does not start.
    """
    paths = [*jars.ensure(settings), *provide(settings)]
    admin, folder = postgres.connect(autocommit=True), background.own_folder(settings)
    try:
        admin.execute("DROP TABLE IF EXISTS outbox")
        admin.execute(TABLE)
        for name in ("plugins", TEMPORARY):
            (folder / name).mkdir()
        port = free_port()
        worker = WORKER | {"bootstrap.servers": kafka.bootstrap, "listeners": f"http://127.0.0.1:{port}"}
        for client in ("", "producer.", "admin.") if kafka.secured else ():  # Connect has clients of three kinds
            worker |= {client + name: value for name, value in security(kafka).items()}
        database = {"database.port": str(postgres.port), "database.password": postgres.password}
        router = {"transforms.outbox.route.topic.replacement": prefix + "${routedByValue}"}
        _write(folder / "worker.properties", worker)
        _write(folder / "connector.properties", CONNECTOR | database | router)
        with interrupts_wait():
            process = Process.start(
                "Debezium", _command(settings, paths), folder / "connect.log", cwd=folder, env=ENVIRONMENT
            )
        try:
            until(lambda: _reads(process, port, admin), 300, "Debezium to read the database's log")
            yield process
        finally:
            process.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder(settings: Settings) -> Path:
    return (
        settings.cache / f"debezium-{next(each.version for each in jars.pinned(LOCK) if each.group == 'io.debezium')}"
    )


def _command(settings: Settings, paths: list[Path]) -> list[str]:
    classes = os.pathsep.join(map(str, paths))
    marks = java_marks(settings, "program")
    main = "org.apache.kafka.connect.cli.ConnectStandalone"
    words = [f"-Djava.io.tmpdir={TEMPORARY}", *marks, "-cp", classes, main]
    return [str(JAVA), *JVM_FLAGS, *words, "worker.properties", "connector.properties"]


def _write(path: Path, settings: Mapping[str, str]) -> None:
    write_atomically(path, properties(settings), 0o600)


def _reads(process: Process, port: int, admin: Any) -> bool:
    """Whether its task runs and holds the slot. Raises LabError if it has ended or failed."""
    if not process.alive:
        raise LabError("Debezium did not start.", process.tail(6), "run it again")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/connectors/{NAME}/status", timeout=60) as answer:
            tasks = json.load(answer)["tasks"]
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return False
    if failed := [each for each in tasks if each["state"] == "FAILED"]:
        raise LabError("Debezium's task failed.", str(failed[0].get("trace", ""))[:600], "run it again")
    slots = admin.execute("SELECT active FROM pg_replication_slots WHERE slot_name = %s", (SLOT,)).fetchall()
    return [each["state"] for each in tasks] == ["RUNNING"] and slots == [(True,)]
