"""The outbox on a real broker: change and event in one step, the relay in order, killed, and two at once."""

import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from kafka.errors import MessageSizeTooLargeError

from labsupport import faults, inbox, orders, outbox, publish, reading, story
from labsupport.broker.cluster import private
from labsupport.delivery import payments
from labsupport.errors import LabError
from labsupport.experiments.watching import log
from labsupport.settings import CHECKOUT
from labsupport.shop.event import Event
from labsupport.waiting import until

EVENTS = story.events(12, seed=4)


@pytest.fixture
def topic(cluster):
    """An empty topic with two partitions."""
    return cluster.create_topic("98-payments", 2)


@pytest.fixture
def database(tmp_path):
    """A database with an empty outbox, in a file."""
    with closing(orders.database(tmp_path / "shop.db")) as connection:
        outbox.create(connection)
        yield connection


@pytest.fixture
def producer(cluster):
    """As a relay has it."""
    return cluster.producer(name="relay", **outbox.PRODUCER)


def fill(database, topic, events=EVENTS):
    """Each event in the transaction of its row."""
    for event in events:
        with database:
            orders.effect(database, event)
            outbox.add(database, topic, event)


def held(cluster, topic):
    """The ids in the topic, as they were sent."""
    return [reading.id_of(each) for each in sorted(log.read(cluster, topic).valid, key=lambda each: each.timestamp)]


def test_change_and_event_are_written_together_or_not_at_all(cluster, topic, database, producer):
    """What was rolled back is never sent; the record is the one that publish would write."""
    with pytest.raises(KeyError), database:
        orders.effect(database, EVENTS[0])
        outbox.add(database, topic, EVENTS[0])
        raise KeyError
    assert outbox.unsent(database) == 0
    fill(database, topic, EVENTS[1:3])
    assert outbox.unsent(database) == 2
    assert outbox.relay(database, producer) == 2
    assert (outbox.unsent(database), outbox.relay(database, producer)) == (0, 0)
    other = cluster.create_topic("98-published", 2)
    publish.publish(producer, other, EVENTS[1:3])
    mine, theirs = log.read(cluster, topic).records, log.read(cluster, other).records
    same = ("partition", "offset", "key", "value", "headers")
    assert [[getattr(each, name) for name in same] for each in mine] == [
        [getattr(each, name) for name in same] for each in theirs
    ]


def test_the_order_of_each_key_is_that_of_the_rows(cluster, database, producer):
    """In one partition the order of all."""
    topic = cluster.create_topic("98-payments")
    fill(database, topic)
    outbox.relay(database, producer)
    assert [reading.id_of(each) for each in log.read(cluster, topic).records] == [each.event_id for each in EVENTS]


@pytest.mark.parametrize("point", ["sending", "sent", "marked"])
def test_a_relay_that_dies_is_followed_by_one_that_goes_on(cluster, database, producer, point):
    """Nothing is lost, and in order; between sent and marked it goes twice, with the same id."""
    topic = cluster.create_topic("98-payments")
    fill(database, topic)
    passed = []

    def at(here):
        passed.append(here)
        if here == point and passed.count(point) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outbox.relay(database, producer, at)
    outbox.relay(database, producer)
    ids = [each.event_id for each in EVENTS]
    again = [ids[4]] if point == "sent" else []
    assert [reading.id_of(each) for each in log.read(cluster, topic).records] == [*ids[:5], *again, *ids[5:]]


def test_what_kafka_refuses_stops_the_relay_there(cluster, database):
    """Nothing behind it goes first; all before it is marked. It can be set aside, by hand."""
    topic = cluster.create_topic("98-small", max_message_bytes=800)
    large = Event("OrderCreated", 1, EVENTS[0].event_id, EVENTS[0].timestamp, {**ORDER, "note": "x" * 1_000})
    fill(database, topic, [EVENTS[1], large, EVENTS[2]])
    for _ in range(2):
        with pytest.raises(LabError, match="stopped at row 2") as caught:
            outbox.relay(database, cluster.producer(name="relay", **outbox.PRODUCER))
        assert isinstance(caught.value.__cause__, MessageSizeTooLargeError)
        assert (outbox.unsent(database), held(cluster, topic)) == (2, [EVENTS[1].event_id])
    with pytest.raises(LabError, match="stopped at row 2"):  # the program too: another attempt would end the same way
        outbox.serve(database, partial(cluster.producer, name="relay", **outbox.PRODUCER), threading.Event())
    with database:
        database.execute(caught.value.next_step.partition(": ")[2])
    assert outbox.relay(database, cluster.producer(name="relay", **outbox.PRODUCER)) == 1
    assert held(cluster, topic) == [EVENTS[1].event_id, EVENTS[2].event_id]


ORDER = {"order_id": "ORD-1", "user_id": "USR-1", "amount": 1}


def test_two_relays_at_once(cluster, topic, database, producer, tmp_path):
    """The second one sends nothing while the first is at work, and everything when that has died."""
    fill(database, topic)
    other, sent = cluster.producer(name="other", **outbox.PRODUCER), []

    def at(here):
        if here == "sent" and not sent:
            with closing(orders.database(tmp_path / "shop.db")) as second:
                sent.append(outbox.relay(second, other))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outbox.relay(database, producer, at)
    assert sent == [0]
    with closing(orders.database(tmp_path / "shop.db")) as second:
        assert outbox.relay(second, other) == len(EVENTS)


def test_the_service_can_write_while_the_relay_waits_for_kafka(topic, database, producer, tmp_path):
    """The relay keeps no transaction open."""
    fill(database, topic, EVENTS[:2])

    def at(here):
        if here in ("sending", "sent"):
            with closing(orders.database(tmp_path / "shop.db", patience=0)) as service, service:
                orders.effect(service, EVENTS[5])

    assert outbox.relay(database, producer, at) == 2


def test_bad_input_is_explained(cluster, topic, database, producer, tmp_path):
    """In a sentence, with the next step."""
    fill(database, topic, EVENTS[:1])
    with pytest.raises(LabError, match="in the outbox already"), database:
        outbox.add(database, topic, EVENTS[0])
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as other:
        with pytest.raises(LabError, match="needs the transaction"):
            outbox.add(other, topic, EVENTS[1])
        other.execute("BEGIN")  # by hand it is one
        outbox.add(other, topic, EVENTS[1])
        other.execute("COMMIT")
    with closing(sqlite3.connect(tmp_path / "empty.db")) as empty:
        for use in (lambda: outbox.add(empty, topic, EVENTS[0]), lambda: outbox.relay(empty, producer)):
            with pytest.raises(LabError, match="has no outbox"):
                use()
    for settings, said in (
        ({"acks": 1, "enable_idempotence": False}, "acks=1"),
        ({"value_serializer": str.encode}, "serializer"),
    ):
        with pytest.raises(LabError, match="A relay") as caught:
            outbox.relay(database, cluster.producer(name="bad", **settings))
        assert said in caught.value.seen


def test_in_memory_nobody_else_can_relay(cluster, topic, producer):
    """So there is no lock, and no file."""
    with closing(orders.database(":memory:")) as database:
        outbox.create(database)
        fill(database, topic, EVENTS[:2])
        assert outbox.relay(database, producer) == 2


# As programs


class Program:
    """A relay or a payments service as a terminal starts it; what it prints goes to a file."""

    def __init__(self, module: str, folder: Path, *words: str):
        self.printed = folder / f"{module}.printed"
        command = [sys.executable, "-m", f"labsupport.delivery.{module}", *words]
        with self.printed.open("ab") as file:
            self.process = subprocess.Popen(command, cwd=CHECKOUT, stdout=file, stderr=subprocess.STDOUT)

    def ended(self, how: int) -> int:
        """Send it a signal; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout=300)


@pytest.fixture
def start(tmp_path):
    """`start(module, *words)`; all are killed after the test."""
    running = []

    def started(module: str, *words: str) -> Program:
        running.append(Program(module, tmp_path, *words))
        return running[-1]

    yield started
    for each in running:
        each.process.kill()
        each.process.wait()


def test_service_and_relays_killed_again_and_again(cluster, topic, start, tmp_path):
    """Each order has one payment, however often who is killed; behind an inbox each has one effect."""
    source, path, words = cluster.create_topic("98-orders"), tmp_path / "shop.db", []
    cluster.delete_groups(["98-payments", "98-ledger"])
    shop = story.events(300, seed=5)
    paid = [payments.payment_of(each).event_id for each in shop if each.event_type == "OrderCreated"]
    publish.publish(cluster.producer(name="shop"), source, shop)
    words = [cluster.bootstrap, source, "--group", "98-payments", "--database", str(path), "--outbox", topic]

    def rows(where="1"):
        if not path.exists():
            return 0
        with closing(sqlite3.connect(path, timeout=30)) as database:
            try:
                return database.execute(f"SELECT count(*) FROM outbox WHERE {where}").fetchone()[0]
            except sqlite3.OperationalError:
                return 0  # the table is not there yet

    service = start("payments", *words)
    until(lambda: rows() > 20, 300, "some payments")
    assert service.ended(signal.SIGKILL) == -signal.SIGKILL
    service = start("payments", *words)
    for step in (5, 20, 40):
        relays = [start("outbox", cluster.bootstrap, str(path)) for _ in range(2)]
        until(lambda step=step: rows("sent") >= step, 300, "the relay to be in the middle")
        assert [each.ended(signal.SIGKILL) for each in relays] == [-signal.SIGKILL] * 2
    relay = start("outbox", cluster.bootstrap, str(path))
    until(lambda: rows("sent") == len(paid), 300, "everything to be sent")
    assert (relay.ended(signal.SIGTERM), service.ended(signal.SIGTERM)) == (0, 0)
    assert "Ended; what was acknowledged is marked." in relay.printed.read_text()
    ids = held(cluster, topic)
    assert set(ids) == set(paid)
    assert len(ids) <= len(paid) + 3  # one row for each kill, at most
    with closing(orders.database(":memory:")) as ledger:
        for record in log.read(cluster, topic).valid:
            event = Event.decode(record.value)
            inbox.once(ledger, event.event_id, lambda event=event: orders.effect(ledger, event))
        assert ledger.execute("SELECT count(*) FROM effects").fetchone() == (len(paid),)


def test_a_relay_outlives_its_broker(settings, tmp_path):
    """It says that Kafka does not answer, and goes on by itself."""
    with private(1, settings) as kafka, closing(sqlite3.connect(tmp_path / "shop.db", check_same_thread=False)) as own:
        topic = kafka.create_topic("98-payments")
        orders.database(tmp_path / "shop.db").close()
        outbox.create(own)
        fill(own, topic, EVENTS[:2])
        quick = {"delivery_timeout_ms": 1_000, "request_timeout_ms": 500, "max_block_ms": 1_000}
        ended, connect = threading.Event(), partial(kafka.producer, name="relay", **outbox.PRODUCER | quick)
        producer = connect()
        producer.partitions_for(topic)
        with faults.paused(kafka.broker(1)), pytest.raises(LabError, match="stopped at row 1") as caught:
            outbox.relay(own, producer)
        assert outbox._passes(caught.value.__cause__)
        served = threading.Thread(target=outbox.serve, args=(own, connect, ended))
        served.start()
        try:
            until(lambda: set(held(kafka, topic)) == {each.event_id for each in EVENTS[:2]}, 300, "both to be sent")
        finally:
            ended.set()
            served.join(300)
        assert outbox.unsent(own) == 0


def test_the_program_explains_what_is_missing(cluster, tmp_path, capsys):
    """A file, a table, Kafka."""
    assert outbox.main([cluster.bootstrap, str(tmp_path / "none.db")]) == 1
    assert "There is no database" in capsys.readouterr().err
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    assert outbox.main([cluster.bootstrap, str(tmp_path / "empty.db")]) == 1
    assert "has no outbox" in capsys.readouterr().err
