"""A right service, with confluent-kafka: counters, and an inbox of event ids that makes a repetition harmless.

A batch is one transaction: ids, counters, alarms and dead letters. Then its offsets are committed, and what waits in
the outbox is sent.
"""

import json
import os
import signal
import sqlite3
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from confluent_kafka import Consumer, KafkaException, Producer

from labsupport.settings import Settings

ENV = {name.removeprefix("CAPSTONE_"): value for name, value in os.environ.items() if name.startswith("CAPSTONE_")}
KAFKA = Settings.from_environment().connection_to(ENV["KAFKA"])  # with a password, if this Kafka wants one
DATABASE = f"{ENV['DATA']}/flights.db"
TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS inbox (event_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delays (day TEXT, airport TEXT, carrier TEXT, departed INTEGER DEFAULT 0,
    arrived INTEGER DEFAULT 0, cancelled INTEGER DEFAULT 0, minutes INTEGER DEFAULT 0,
    PRIMARY KEY (day, airport, carrier));
CREATE TABLE IF NOT EXISTS arrivals (flight TEXT PRIMARY KEY, minutes INTEGER, revision INTEGER);
CREATE TABLE IF NOT EXISTS late (flight TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS outbox (position INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, key BLOB, value BLOB);
"""
COUNT = """INSERT INTO delays (day, airport, carrier, {name}) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET {name} = {name} + excluded.{name}"""
ARRIVAL = "INSERT INTO arrivals VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET minutes = excluded.minutes, revision = ?3"
FIELDS = ("flight", "day", "airport", "carrier")
done = {"capstone_events_total": 0, "capstone_dead_letters_total": 0}
ended = threading.Event()


def connect():
    """Open the database; another instance may be writing."""
    database = sqlite3.connect(DATABASE, timeout=60)
    database.row_factory = sqlite3.Row
    return database


def understand(value):
    """Return the event's id, kind, fields, delay in minutes, and revision; raises an error for what is no event."""
    event = json.loads(value)
    kind, version, payload = event["event_type"], event["event_version"], event["payload"]
    if kind not in ("FlightDeparted", "FlightArrived", "FlightCancelled", "DelayCorrected") or version not in (1, 2):
        raise ValueError("not described")
    if not all(isinstance(payload[name], str) for name in FIELDS):
        raise ValueError("no text")
    delay = 0
    if kind != "FlightCancelled":
        delay = payload["delay"] if version == 1 else payload["delay_seconds"] / 60
        if delay != int(delay):
            raise ValueError("no whole minutes")
    return event["event_id"], kind, {name: payload[name] for name in FIELDS}, int(delay), payload.get("revision", 1)


def handle(database, message):
    """Write what a message says, in the open transaction."""
    try:
        event_id, kind, fields, delay, revision = understand(message.value())
    except (ValueError, KeyError, TypeError):
        place = f"{message.topic()}/{message.partition()}/{message.offset()}"
        if first_time(database, place):
            put(database, ENV["DEAD_LETTERS"], message.key(), message.value())
        done["capstone_dead_letters_total"] += 1
        return
    done["capstone_events_total"] += 1
    if not first_time(database, event_id):
        return
    flight, *place = fields.values()
    if kind == "FlightDeparted":
        count(database, place, "departed", 1)
        if delay >= 15:
            database.execute("INSERT INTO late VALUES (?)", (flight,))
        if delay >= 60:
            put(database, ENV["ALARMS"], message.key(), alarm(event_id, fields, delay))
    elif kind == "FlightCancelled":
        count(database, place, "cancelled", 1)
    else:
        arrived(database, flight, place, delay, revision)


def first_time(database, event_id):
    """Note the id; return whether it was new."""
    return database.execute("INSERT OR IGNORE INTO inbox VALUES (?)", (event_id,)).rowcount == 1


def arrived(database, flight, place, delay, revision):
    """Count an arrival, or replace the delay that an earlier revision has reported."""
    before = database.execute("SELECT minutes, revision FROM arrivals WHERE flight = ?", (flight,)).fetchone()
    if before is None:
        count(database, place, "arrived", 1)
        database.execute("DELETE FROM late WHERE flight = ?", (flight,))
    elif before["revision"] >= revision:
        return
    count(database, place, "minutes", delay - (before["minutes"] if before else 0))
    database.execute(ARRIVAL, (flight, delay, revision))


def count(database, place, name, many):
    """Add to a counter."""
    database.execute(COUNT.format(name=name), (*place, many))


def put(database, topic, key, value):
    """Write into the outbox."""
    database.execute("INSERT INTO outbox (topic, key, value) VALUES (?, ?, ?)", (topic, key, value))


def alarm(event_id, fields, delay):
    """Return the alarm as an event; its id follows from the departure's."""
    event = {
        "event_type": "FlightDelayed",
        "event_version": 1,
        "event_id": f"{event_id}/alarm",
        "timestamp": datetime.now(UTC).isoformat(),
        "payload": {**fields, "delay": delay},
    }
    return json.dumps(event).encode()


def relay(database, producer):
    """Send what waits in the outbox, and delete it when Kafka has it."""
    errors = []
    while rows := database.execute("SELECT * FROM outbox ORDER BY position LIMIT 500").fetchall():
        for row in rows:
            producer.produce(row["topic"], row["value"], row["key"], on_delivery=lambda error, _: errors.append(error))
        if producer.flush(60) or any(errors):
            raise SystemExit(f"the outbox cannot be sent: {errors}")  # it is sent after the restart
        with database:
            database.executemany("DELETE FROM outbox WHERE position = ?", [(row["position"],) for row in rows])


class Answers(BaseHTTPRequestHandler):
    """What others ask."""

    def do_GET(self):
        """Answer from the database."""
        asked, database = urlsplit(self.path), connect()
        try:
            if asked.path == "/delays":
                rows = database.execute("SELECT * FROM delays WHERE day = ?", parse_qs(asked.query)["day"])
                self.reply(json.dumps([dict(row) for row in rows]))
            elif asked.path == "/late":
                self.reply(json.dumps([flight for (flight,) in database.execute("SELECT flight FROM late")]))
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
    producer = Producer(KAFKA.confluent_kafka() | {"enable.idempotence": True})
    consumer = Consumer(
        KAFKA.confluent_kafka()
        | {
            "group.id": ENV["GROUP"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([ENV["FLIGHTS"]])
    while not ended.is_set():
        messages = [message for message in consumer.consume(1000, timeout=0.2) if not message.error()]
        if messages:
            database.execute("BEGIN IMMEDIATE")  # it reads before it writes: another instance must wait
            with database:
                for message in messages:
                    handle(database, message)
            try:
                consumer.commit(asynchronous=False)
            except KafkaException as error:  # thrown out of the group: who has the partitions now, handles it again
                print(error, flush=True)
        relay(database, producer)
    consumer.close()


if __name__ == "__main__":
    main()
