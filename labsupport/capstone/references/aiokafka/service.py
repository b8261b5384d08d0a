"""A right service, with aiokafka: what it has read of each partition stands in the database beside its effects.

A batch is one transaction: effects and positions. A record below its partition's position was handled before, by this
process or another one. That makes redelivery harmless, not the publisher's repetitions; so each flight has a row, too.
"""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from labsupport.settings import Settings

ENV = {name.removeprefix("CAPSTONE_"): value for name, value in os.environ.items() if name.startswith("CAPSTONE_")}
KAFKA = Settings.from_environment().connection_to(ENV["KAFKA"])  # with a password, if this Kafka wants one
TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS positions (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS flights (flight TEXT PRIMARY KEY, day TEXT, airport TEXT, carrier TEXT, kind TEXT,
    left INTEGER, minutes INTEGER, revision INTEGER);
CREATE INDEX IF NOT EXISTS days ON flights (day);
CREATE TABLE IF NOT EXISTS outbox (position INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, key BLOB, value BLOB);
"""
DELAYS = """SELECT airport, carrier, count(left) AS departed, count(minutes) AS arrived, count(kind)
    AS cancelled, coalesce(sum(minutes), 0) AS minutes FROM flights WHERE day = ? GROUP BY airport, carrier"""
LATE = "SELECT flight FROM flights WHERE left >= 15 AND minutes IS NULL"
KINDS = {"FlightDeparted", "FlightArrived", "FlightCancelled", "DelayCorrected"}
done = {"capstone_events_total": 0, "capstone_dead_letters_total": 0}


def connect():
    """Open the database; another instance may be writing."""
    database = sqlite3.connect(f"{ENV['DATA']}/flights.db", timeout=60, isolation_level=None)
    database.row_factory = sqlite3.Row
    return database


def understand(value):
    """Return kind, fields, delay in minutes, and revision; raises an error for what is no event."""
    event = json.loads(value)
    kind, version, payload = event["event_type"], event["event_version"], event["payload"]
    fields = [payload[name] for name in ("flight", "day", "airport", "carrier")]
    if kind not in KINDS or version not in (1, 2) or not all(isinstance(field, str) for field in fields):
        raise ValueError("not described")
    if kind == "FlightCancelled":
        return kind, fields, 0, 1
    delay, revision = payload["delay" if version == 1 else "delay_seconds"], payload.get("revision", 1)
    if not isinstance(delay, int) or not isinstance(revision, int):
        raise TypeError("no whole number")
    return kind, fields, delay if version == 1 else delay // 60, revision


def handle(database, record):
    """Write what a record says, in the open transaction."""
    try:
        kind, fields, delay, revision = understand(record.value)
    except (ValueError, KeyError, TypeError):
        done["capstone_dead_letters_total"] += 1
        put(database, ENV["DEAD_LETTERS"], record.key, record.value)
        return
    done["capstone_events_total"] += 1
    flight = fields[0]
    database.execute("INSERT OR IGNORE INTO flights (flight, day, airport, carrier) VALUES (?, ?, ?, ?)", fields)
    row = database.execute("SELECT * FROM flights WHERE flight = ?", (flight,)).fetchone()
    if kind == "FlightCancelled":
        database.execute("UPDATE flights SET kind = 'cancelled' WHERE flight = ?", (flight,))
    elif kind == "FlightDeparted":
        if row["left"] is None:  # the first time
            database.execute("UPDATE flights SET left = ? WHERE flight = ?", (delay, flight))
            if delay >= 60:
                put(database, ENV["ALARMS"], record.key, alarm(fields, delay))
    elif row["revision"] is None or row["revision"] < revision:
        database.execute("UPDATE flights SET minutes = ?, revision = ? WHERE flight = ?", (delay, revision, flight))


def put(database, topic, key, value):
    """Write into the outbox."""
    database.execute("INSERT INTO outbox (topic, key, value) VALUES (?, ?, ?)", (topic, key, value))


def alarm(fields, delay):
    """Return the alarm as an event; its id follows from the flight."""
    event = {
        "event_type": "FlightDelayed",
        "event_version": 1,
        "event_id": f"{fields[0]}/FlightDelayed",
        "timestamp": datetime.now(UTC).isoformat(),
        "payload": {**dict(zip(("flight", "day", "airport", "carrier"), fields, strict=True)), "delay": delay},
    }
    return json.dumps(event).encode()


def handle_batch(database, batches):
    """Write all records of the batch that are new, and the positions behind them, in one transaction."""
    database.execute("BEGIN IMMEDIATE")  # the positions are read before they are written
    try:
        for partition, records in batches.items():
            number = (partition.partition,)
            row = database.execute("SELECT next FROM positions WHERE partition = ?", number).fetchone()
            for record in records:
                if row is None or record.offset >= row["next"]:
                    handle(database, record)
            following = max(records[-1].offset + 1, row["next"] if row else 0)
            database.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (*number, following))
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


async def relay(database, producer):
    """Send what waits in the outbox, and delete it when Kafka has it."""
    while rows := database.execute("SELECT * FROM outbox ORDER BY position LIMIT 500").fetchall():
        sending = [await producer.send(row["topic"], row["value"], row["key"]) for row in rows]
        await asyncio.gather(*sending)
        database.execute("DELETE FROM outbox WHERE position <= ?", (rows[-1]["position"],))


def answer(database, path):
    """Return the body for a path."""
    asked = urlsplit(path)
    if asked.path == "/delays":
        return json.dumps([dict(row) for row in database.execute(DELAYS, parse_qs(asked.query)["day"])])
    if asked.path == "/late":
        return json.dumps([flight for (flight,) in database.execute(LATE)])
    if asked.path == "/metrics":
        return "".join(f"# TYPE {name} counter\n{name} {value}\n" for name, value in done.items())
    return "ok"


async def main():
    """Consume until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    database, asked = connect(), connect()
    database.executescript(TABLES)

    async def reply(reader, writer):
        words = (await reader.readline()).split()
        while (await reader.readline()).strip():
            pass
        body = answer(asked, words[1].decode()).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", int(ENV["PORT"]))
    consumer = AIOKafkaConsumer(
        ENV["FLIGHTS"], **KAFKA.aiokafka(), group_id=ENV["GROUP"], enable_auto_commit=False,
        auto_offset_reset="earliest",
    )  # fmt: skip
    producer = AIOKafkaProducer(**KAFKA.aiokafka(), enable_idempotence=True)
    await producer.start()
    await consumer.start()
    try:
        while not ended.is_set():
            batches = await consumer.getmany(timeout_ms=200, max_records=1000)
            if batches:
                handle_batch(database, batches)
                with contextlib.suppress(KafkaError):  # thrown out of the group: it gets its partitions again, or not
                    await consumer.commit()
            await relay(database, producer)
    finally:
        server.close()
        await consumer.stop()
        await producer.stop()


if __name__ == "__main__":
    asyncio.run(main())
