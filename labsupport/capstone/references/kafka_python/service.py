"""A right service, with kafka-python: each flight has a row, and a record that comes again changes nothing.

A batch is one transaction: rows, alarms and dead letters. Then its offsets are committed, and what waits in the outbox
is sent. Whatever is repeated after a crash finds its row as it left it.
"""

import json
import os
import signal
import sqlite3
import threading
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from kafka import KafkaConsumer, KafkaProducer

from labsupport.settings import Settings

ENV = {name.removeprefix("CAPSTONE_"): value for name, value in os.environ.items() if name.startswith("CAPSTONE_")}
KAFKA = Settings.from_environment().connection_to(ENV["KAFKA"])  # with a password, if this Kafka wants one
DATABASE = f"{ENV['DATA']}/flights.db"
TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS flights (flight TEXT PRIMARY KEY, day TEXT, airport TEXT, carrier TEXT,
    left INTEGER, arrived INTEGER, revision INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS days ON flights (day);
CREATE INDEX IF NOT EXISTS late ON flights (left) WHERE arrived IS NULL;
CREATE TABLE IF NOT EXISTS outbox (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, topic TEXT, key BLOB,
    value BLOB, sent INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS unsent ON outbox (position) WHERE NOT sent;
"""
FLIGHT = "INSERT OR IGNORE INTO flights (flight, day, airport, carrier) VALUES (?, ?, ?, ?)"
LEFT = "UPDATE flights SET left = ? WHERE flight = ?"
ARRIVED = "UPDATE flights SET arrived = ?, revision = ? WHERE flight = ? AND revision < ?"
CANCELLED = "UPDATE flights SET cancelled = 1 WHERE flight = ?"
OUTBOX = "INSERT OR IGNORE INTO outbox (id, topic, key, value) VALUES (?, ?, ?, ?)"
DELAYS = """SELECT airport, carrier, count(left) AS departed, count(arrived) AS arrived, sum(cancelled) AS cancelled,
    coalesce(sum(arrived), 0) AS minutes FROM flights WHERE day = ? GROUP BY airport, carrier"""
LATE = "SELECT flight FROM flights WHERE left >= 15 AND arrived IS NULL"
KINDS = {"FlightDeparted", "FlightArrived", "FlightCancelled", "DelayCorrected"}
done = {"capstone_events_total": 0, "capstone_dead_letters_total": 0}
ended = threading.Event()


def connect():
    """Open the database; another instance may be writing."""
    database = sqlite3.connect(DATABASE, timeout=60)
    database.row_factory = sqlite3.Row
    return database


def understand(value):
    """Return the kind, the payload and the delay in minutes; raises ValueError for what is no event."""
    try:
        event = json.loads(value)
        kind, version, payload = event["event_type"], event["event_version"], event["payload"]
        names = [payload[name] for name in ("flight", "day", "airport", "carrier")]
        if kind not in KINDS or version not in (1, 2) or not all(isinstance(name, str) for name in names):
            raise ValueError("not described")
        delay = 0
        if kind != "FlightCancelled":
            delay = payload["delay"] if version == 1 else payload["delay_seconds"]
            if type(delay) is not int or type(payload.get("revision", 1)) is not int:
                raise ValueError("no whole number")
        return kind, payload, delay if version == 1 else delay // 60
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(repr(error)) from error


def handle(database, record):
    """Write what a record says, in the open transaction."""
    try:
        kind, payload, delay = understand(record.value)
    except ValueError:
        done["capstone_dead_letters_total"] += 1
        place = f"{record.topic}/{record.partition}/{record.offset}"
        database.execute(OUTBOX, (place, ENV["DEAD_LETTERS"], record.key, record.value))
        return
    done["capstone_events_total"] += 1
    flight = payload["flight"]
    database.execute(FLIGHT, (flight, payload["day"], payload["airport"], payload["carrier"]))
    if kind == "FlightDeparted":
        database.execute(LEFT, (delay, flight))
        if delay >= 60:
            database.execute(OUTBOX, (f"{flight}/delayed", ENV["ALARMS"], record.key, alarm(payload, delay)))
    elif kind == "FlightCancelled":
        database.execute(CANCELLED, (flight,))
    else:
        revision = payload.get("revision", 1)
        database.execute(ARRIVED, (delay, revision, flight, revision))


def alarm(payload, delay):
    """Return the alarm as an event of its own."""
    names = ("flight", "day", "airport", "carrier")
    event = {
        "event_type": "FlightDelayed",
        "event_version": 1,
        "event_id": str(uuid.uuid4()),
        "timestamp": datetime.now(UTC).isoformat(),
        "payload": {**{name: payload[name] for name in names}, "delay": delay},
    }
    return json.dumps(event).encode()


def relay(database, producer):
    """Send what waits in the outbox, and mark it when Kafka has it."""
    while rows := database.execute("SELECT * FROM outbox WHERE NOT sent ORDER BY position LIMIT 500").fetchall():
        for sending in [producer.send(row["topic"], row["value"], row["key"]) for row in rows]:
            sending.get(timeout=60)
        with database:
            database.executemany("UPDATE outbox SET sent = 1 WHERE position = ?", [(row["position"],) for row in rows])


class Answers(BaseHTTPRequestHandler):
    """What others ask."""

    def do_GET(self):
        """Answer from the database."""
        asked, database = urlsplit(self.path), connect()
        try:
            if asked.path == "/delays":
                day = parse_qs(asked.query)["day"][0]
                self.reply(json.dumps([dict(row) for row in database.execute(DELAYS, (day,))]))
            elif asked.path == "/late":
                self.reply(json.dumps([flight for (flight,) in database.execute(LATE)]))
            elif asked.path == "/metrics":
                self.reply("".join(f"# TYPE {name} counter\n{name} {value}\n" for name, value in done.items()))
            else:
                self.reply("ok")
        finally:
            database.close()

    def reply(self, text):
        """Send text."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Stay silent."""


def main():
    """Consume until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    database = connect()
    database.executescript(TABLES)
    server = ThreadingHTTPServer(("127.0.0.1", int(ENV["PORT"])), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    producer = KafkaProducer(**KAFKA.kafka_python(), acks="all", enable_idempotence=True, linger_ms=5)
    consumer = KafkaConsumer(
        ENV["FLIGHTS"], **KAFKA.kafka_python(), group_id=ENV["GROUP"], enable_auto_commit=False,
        auto_offset_reset="earliest", max_poll_records=1000, isolation_level="read_committed",
    )  # fmt: skip
    consumer.partitions_for_topic(ENV["FLIGHTS"])  # or kafka-python 3.0.12 may join twice, and get no partitions
    while not ended.is_set():
        batches = consumer.poll(timeout_ms=500)
        if batches:
            with database:
                for records in batches.values():
                    for record in records:
                        handle(database, record)
            consumer.commit()
        relay(database, producer)
    consumer.close()
    producer.close()


if __name__ == "__main__":
    main()
