"""The payments service in a terminal: fed by the shop, drained, killed, started again; its balance comes out even."""

import contextlib
import itertools
import json
import random
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from kafka import codec

from labsupport import balance, dead_letter, orders, publish, reset, story
from labsupport.course import exercises
from labsupport.delivery import payments
from labsupport.experiments.breaking import members, python_process
from labsupport.experiments.watching import log
from labsupport.settings import CHECKOUT
from labsupport.waiting import until

GROUP = "98-payments"
LAB_FILE = """
from labsupport.delivery import inbox, orders

def handle(event, database):
    inbox.once(database, event.event_id, lambda: orders.effect(database, event))
    print("mine", event.event_id, flush=True)
"""


def learners_files(folder: Path) -> list[str]:
    """The files of exercises 08-2 and 09-3 in this folder, solved; the words that make the service run them."""
    words = []
    for number, option in {"08-2": "--handle", "09-3": "--bury"}.items():
        exercise = exercises.by_id()[number]
        (folder / exercise.file).write_text(f'{exercise.reference}\n\n\nprint("a learner\'s {exercise.file}")\n')
        words += [option, f"{folder / exercise.file}:{exercise.function}"]
    return words


@pytest.fixture
def topic(cluster):
    """An empty topic with two partitions, and one for its dead letters; the service's group does not exist."""
    cluster.delete_groups([GROUP])
    cluster.create_topic("98-orders-dlt", 2, **dead_letter.topic_settings())
    return cluster.create_topic("98-orders", 2)


class Service:
    """The service as a terminal starts it; what it prints goes to a file."""

    def __init__(self, cluster, topic, folder: Path, *words: str):
        self.database, self.printed = folder / "shop.db", folder / "printed"
        command = [sys.executable, "-m", "labsupport.delivery.payments", cluster.bootstrap, topic]
        command += ["--group", GROUP, "--database", str(self.database), *words]
        with self.printed.open("ab") as file:
            self.process = subprocess.Popen(command, cwd=CHECKOUT, stdout=file, stderr=subprocess.STDOUT)

    def effects(self) -> int:
        """How many rows it has written."""
        if not self.database.exists():
            return 0
        with contextlib.suppress(sqlite3.Error):  # the table may not be there yet
            return orders.effects(self.database).total()
        return 0

    def ended(self, how: int) -> int:
        """Send it a signal; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout=300)


@pytest.fixture
def service(cluster, topic, tmp_path):
    """`service(*words)` starts it; all are killed after the test."""
    running = []

    def start(*words: str) -> Service:
        running.append(Service(cluster, topic, tmp_path, *words))
        return running[-1]

    yield start
    for each in running:
        each.process.kill()
        each.process.wait()


def test_killed_again_and_again_while_the_shop_goes_on_its_balance_comes_out_even(cluster, topic, service):
    """Kill -9 at whatever it is doing, three times; then SIGTERM: it has processed every event once."""
    producer, chance = cluster.producer(name="shop"), random.Random(1)
    events = story.events(2_000, seed=1)
    for number in range(3):
        running = service()
        before = running.effects()
        publish.publish(producer, topic, events[number * 500 : number * 500 + 500])
        wanted = before + chance.randint(20, 300)
        until(lambda running=running, wanted=wanted: running.effects() >= wanted, 300, "it to be in the middle")
        assert running.ended(signal.SIGKILL) == -signal.SIGKILL
    running = service()
    publish.publish(producer, topic, events[1_500:])
    until(lambda: running.effects() == 2_000, 300, "everything to be processed")
    assert running.ended(signal.SIGTERM) == 0
    sheet = balance.read(cluster, topic, GROUP, running.database)
    assert str(sheet) == (
        "2000 produced = 2000 processed + 0 dead-lettered + 0 waiting + 0 unknown + 0 lost; 0 processed twice."
    )
    assert "Ended; all that was processed is committed." in running.printed.read_text()


@pytest.mark.parametrize("theirs", [False, True], ids=["the reference", "the learner's files"])
def test_killed_with_poison_among_its_events_its_balance_comes_out_even(cluster, topic, service, tmp_path, theirs):
    """The end of Part I, with the lab's own functions, and with a learner's files, of exercises 08-2 and 09-3."""
    words = ["--dead-letters", *(learners_files(tmp_path) if theirs else [])]
    producer, events = cluster.producer(name="shop"), iter(story.events(1_000, seed=6))
    for _ in range(3):
        publish.publish(producer, topic, list(itertools.islice(events, 200)))
        producer.send(topic, b"no event", b"ORD-1").get(timeout=300)
        running = service(*words)
        before = running.effects()
        until(lambda running=running, before=before: running.effects() > before + 20, 300, "it to be in the middle")
        assert running.ended(signal.SIGKILL) == -signal.SIGKILL
    publish.publish(producer, topic, events)
    running = service(*words)
    until(lambda: running.effects() == 1_000, 300, "everything to be processed")
    ends = log.bounds(cluster, topic)[1]
    until(lambda: log.committed(cluster, topic, GROUP) == ends, 300, "everything to be committed")
    assert running.ended(signal.SIGTERM) == 0
    sheet = balance.read(cluster, topic, GROUP, running.database, dead_letters=topic + "-dlt")
    assert str(sheet) == (
        "1003 produced = 1000 processed + 3 dead-lettered + 0 waiting + 0 unknown + 0 lost; 0 processed twice."
    )
    printed = running.printed.read_text()
    assert printed.count("a learner's") == (8 if theirs else 0)
    assert re.search(r"A runs; kill -9 \d+ ends it at once", printed)


def test_records_with_odd_headers_are_processed_or_set_aside(cluster, topic, service, header_name):
    """A header name that is not UTF-8, on an event and on another record."""
    producer, event = cluster.producer(name="shop"), story.events(1, seed=9)[0]
    odd = [(header_name(b"\xff\xfe"), b"1")]
    producer.send(topic, event.encode(), story.key_of(event), odd, partition=0).get(timeout=300)
    producer.send(topic, b"no event", b"ORD-1", odd, partition=0).get(timeout=300)
    publish.publish(producer, topic, story.events(10, seed=10))
    running = service("--dead-letters")
    until(lambda: log.committed(cluster, topic, GROUP) == log.bounds(cluster, topic)[1], 300, "it to be done")
    assert running.ended(signal.SIGTERM) == 0
    sheet = balance.read(cluster, topic, GROUP, running.database, dead_letters=topic + "-dlt")
    assert (sheet.count("processed"), sheet.count("dead-lettered"), sheet.count("waiting")) == (11, 1, 0)
    (letter,) = log.read(cluster, topic + "-dlt").records
    assert dead_letter.original(letter).headers == [("??", b"1")]


def test_what_cannot_be_read_is_named_and_how_to_go_on(cluster, topic, tmp_path, monkeypatch, capsys):
    """Its codec is missing. What the sentence says is done, and the rest is processed."""
    for how, events in (
        (None, story.events(2, seed=1)),
        ("snappy", story.events(1, seed=2)),
        (None, story.events(2, seed=3)),
    ):
        producer = cluster.producer(name="shop", compression_type=how)
        for event in events:
            producer.send(topic, event.encode(), story.key_of(event), partition=1).get(timeout=300)
    monkeypatch.setattr(codec, "snappy", None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    words = [cluster.bootstrap, topic, "--group", GROUP, "--database", str(tmp_path / "shop.db"), "--dead-letters"]
    assert payments.main(words) == 1
    said = capsys.readouterr().err
    assert f"Could not read {topic}, partition 1, offset 2." in said
    assert "Libraries for snappy compression codec not found" in said
    assert log.committed(cluster, topic, GROUP)[1] == 2
    cluster.evict(GROUP)
    command = re.search(r"reset\.reset_offsets\(.*?\)$", said, re.DOTALL | re.MULTILINE)[0]
    eval(command, {"reset": reset, "lab": cluster, "group": GROUP})
    with pytest.raises(ZeroDivisionError):  # its end: there is nobody to send it a signal
        monkeypatch.setattr(payments, "_print", lambda moment: moment.kind == "committed" and 1 / 0)
        payments.main(words)
    assert log.committed(cluster, topic, GROUP)[1] == 5


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_finishes_the_event_in_hand_and_commits(cluster, topic, service, way):
    """In the middle of a long list: what is processed is what is committed, neither more nor less."""
    running = service()
    publish.publish(cluster.producer(name="shop"), topic, story.events(3_000, seed=2))
    until(lambda: running.effects() > 100, 300, "it to be in the middle")
    assert running.ended(way) == 0
    assert sum(log.committed(cluster, topic, GROUP).values()) == running.effects()
    sheet = balance.read(cluster, topic, GROUP, running.database)
    assert sheet.count("processed") + sheet.count("waiting") == 3_000
    assert sheet.count("lost") == sheet.count("twice") == 0


def test_a_handler_of_ones_own_takes_the_place_of_the_reference(cluster, topic, service, tmp_path):
    """From a file, by path and name."""
    (tmp_path / "handler.py").write_text(LAB_FILE)
    running = service("--handle", str(tmp_path / "handler.py") + ":handle")
    publish.publish(cluster.producer(name="shop"), topic, story.events(20, seed=3))
    until(lambda: running.effects() == 20, 300, "the events to be processed")
    assert running.ended(signal.SIGTERM) == 0
    assert running.printed.read_text().count("mine") == 20


def member_id(cluster, name: str) -> str:
    """The id under which the broker knows the member of that name; empty if there is none."""
    described = cluster.ask("the members", lambda admin: admin.describe_groups([GROUP])[GROUP])
    return next((each["member_id"] for each in described["members"] if each["client_id"] == name), "")


def test_two_members_share_the_partitions_and_one_name_is_for_one(cluster, topic, service):
    """With names of their own they share; a second one of the same name takes the first one's place.

    The first hears of it when it commits: its client (3.0.12) keeps a fenced heartbeat to itself.
    """
    producer, events = cluster.producer(name="shop"), story.events(250, seed=4)
    first = service("--name", "A")
    until(lambda: members.owners(cluster, GROUP) == {"A": [0, 1]}, 300, "the first to have the partitions")
    second = service("--name", "B")
    until(lambda: members.owners(cluster, GROUP).keys() == {"A", "B"}, 300, "both to have partitions")
    publish.publish(producer, topic, events[:200])
    until(lambda: second.effects() == 200, 300, "the events to be processed")
    earlier = member_id(cluster, "B")
    third = service("--name", "B")
    until(lambda: member_id(cluster, "B") not in ("", earlier), 300, "the third to take the second one's place")
    publish.publish(producer, topic, events[200:])
    assert second.process.wait(timeout=300) == 1
    assert "runs as B" in second.printed.read_text()
    until(lambda: third.effects() == 250, 300, "the other events too")
    assert third.ended(signal.SIGTERM) == first.ended(signal.SIGTERM) == 0
    assert balance.read(cluster, topic, GROUP, first.database).count("twice") == 0


def test_what_is_no_event_ends_it_uncommitted_and_says_where(cluster, topic, service):
    """Exit code 1; what came before it is committed."""
    publish.publish(cluster.producer(name="shop"), topic, story.events(10, seed=5))
    cluster.producer(name="shop").send(topic, b"no event", partition=0).get(timeout=300)
    place = log.bounds(cluster, topic)[1][0] - 1
    running = service()
    assert running.process.wait(timeout=300) == 1
    printed = running.printed.read_text()
    assert f"failed: partition 0, offset {place}" in printed
    assert "No event: not JSON" in printed
    assert log.committed(cluster, topic, GROUP)[0] == place


@pytest.mark.parametrize(("words", "code", "said"), [
    (["127.0.0.1:1", "98-orders", "--group", GROUP, "--database", "x.db"], 1, "127.0.0.1:1"),
    (["ADDRESS", "98-nowhere", "--group", GROUP, "--database", "x.db"], 1, "no topic '98-nowhere'"),
    (["ADDRESS", "98-orders", "--group", GROUP, "--database", "no/x.db"], 1, "unable to open"),
    (["ADDRESS", "98-orders", "--group", GROUP, "--database", "x.db", "--handle", "no.py:f"], 1, "no Python file"),
    (["ADDRESS", "98-orders-dlt", "--group", GROUP, "--database", "x.db", "--dead-letters"], 1, "'98-orders-dlt-dlt'"),
    (["ADDRESS", "98-orders"], 2, "required"),
])  # fmt: skip
def test_what_is_wrong_is_a_sentence_and_an_exit_code(cluster, topic, tmp_path, words, code, said):
    """A wrong address, a topic or a folder that is not there, a missing word."""
    words = [cluster.bootstrap if word == "ADDRESS" else word for word in words]
    run = subprocess.run(
        [sys.executable, "-m", "labsupport.delivery.payments", *words],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert run.returncode == code
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_lesson_12_says_what_to_type(cluster, topic, tmp_path):
    """The command in the lesson, with this topic, group and database instead: it runs."""
    notebook = json.loads((CHECKOUT / "notebooks" / "12_retention.ipynb").read_text(encoding="utf-8"))
    (cell,) = [cell for cell in notebook["cells"] if cell["id"] == "terminal"]
    command = re.search(r"^    (\.venv/bin/python (?:.*\\\n)*.*)$", "".join(cell["source"]), re.MULTILINE)[1]
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:3] == [".venv/bin/python", "-m", "labsupport.delivery.payments"]
    _, handle, _, bury = learners_files(tmp_path)
    theirs = {
        "127.0.0.1:9092": cluster.bootstrap,
        "12-terminal": topic,
        "12-by-hand": GROUP,
        ".lab/databases/12-by-hand.db": str(tmp_path / "shop.db"),
        "work/handler.py:handle": handle,
        "work/publisher.py:bury": bury,
    }
    assert theirs.keys() <= set(words)
    publish.publish(cluster.producer(name="shop"), topic, story.events(20, seed=7))
    with python_process.start_python(*[theirs.get(word, word) for word in words[1:]]) as running:
        until(lambda: log.committed(cluster, topic, GROUP) == log.bounds(cluster, topic)[1], 300, "it to be done")
        running.process.stop()
        assert "Ended; all that was processed is committed." in running.printed
    assert balance.read(cluster, topic, GROUP, tmp_path / "shop.db").count("processed") == 20


def test_its_database_is_the_shops(tmp_path):
    """So that the balance sheet reads it as it reads every other."""
    with closing(orders.database(tmp_path / "shop.db")) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"effects", "inbox"} <= tables
