"""The lab's own brokers on a shared machine: nobody without the password gets in, and the lab's programs do."""

import contextlib
import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nbformat
import psutil
import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from labsupport.broker import background, own_access, processes
from labsupport.broker.cluster import connect, private
from labsupport.broker.metadata import active_controller, ask
from labsupport.commands import notebooks
from labsupport.connection import Connection, Secret
from labsupport.course.session import Lesson
from labsupport.delivery import orders, publish
from labsupport.errors import LabError, RefusedError
from labsupport.experiments.watching import log
from labsupport.settings import CHECKOUT, Settings
from labsupport.shop import story
from labsupport.waiting import until

pwd = pytest.importorskip("pwd", reason="Windows counts no accounts")


@pytest.fixture
def shared(elsewhere, monkeypatch) -> Settings:
    """A home on a machine that several people use."""
    monkeypatch.setenv("LAB_PASSWORD", "on")
    return Settings.from_environment()


@pytest.fixture
def seen_by_ps():
    """All words of command lines that were seen during the test."""
    found: set[str] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            for process in psutil.process_iter(["cmdline"]):
                found.update(process.info["cmdline"] or [])

    watching = threading.Thread(target=watch)
    watching.start()
    yield found
    ended.set()
    watching.join()


def doors(embedded) -> list[tuple[str, Callable, int]]:
    """Every port of a cluster, with a question for it."""
    clients = [("clients", ask, client) for client, _ in embedded.ports.values() if client]
    return clients + [("controllers", active_controller, inner) for _, inner in embedded.ports.values() if inner]


GUESS = Connection("", "SASL_PLAINTEXT", "PLAIN", own_access.USER, Secret("guessed"))


@pytest.mark.parametrize("size", [{"size": 1}, {"size": 3, "controller": True}], ids=["one", "three and a controller"])
def test_no_port_of_any_broker_lets_anybody_else_in(size, shared):
    """Without a password and with a wrong one; each with the same port, so that it is the password that counts."""
    with private(settings=shared, **size) as kafka:
        assert len(doors(kafka.embedded)) == (2 if size["size"] == 1 else 4)
        for what, question, port in doors(kafka.embedded):
            assert question("127.0.0.1", port, connection=kafka.connection), what
            for given in (Connection(""), GUESS):
                with pytest.raises(RefusedError):
                    question("127.0.0.1", port, connection=given)


def test_somebody_else_cannot_list_delete_or_write(shared):
    """With kafka-python's own clients, which know the address and no more; then all is as it was."""
    with connect(shared) as kafka:
        topic = kafka.create_topic("91-mine")
        guess = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}
        guess |= {"sasl_plain_username": own_access.USER, "sasl_plain_password": "guessed"}
        for more in ({}, guess):
            there = {"bootstrap_servers": kafka.bootstrap, "bootstrap_timeout_ms": 1_000, **more}
            attempts = [
                lambda there=there: KafkaAdminClient(**there).list_topics(),
                lambda there=there: KafkaAdminClient(**there).delete_topics([topic]),
                lambda there=there: KafkaProducer(**there).send(topic, b"theirs").get(timeout=300),
            ]
            for attempt in attempts:
                with pytest.raises(Exception, match=r"bootstrap|[Aa]uthentication"):
                    attempt()
        assert kafka.topics("91-") == [topic]
        assert log.bounds(kafka, topic)[1] == {0: 0}


def test_the_password_is_in_a_file_of_ones_own_and_nowhere_else(shared, seen_by_ps):
    """Nor can others read the records from the broker's files."""
    cluster, _ = background.ensure(shared)
    password = str(cluster.access.password)
    holding = []
    for file in (each for each in shared.home.rglob("*") if each.is_file()):
        if password in file.read_text(errors="replace"):
            holding.append(file.name)
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert sorted(holding) == ["client.properties", "server.properties"]
    assert stat.S_IMODE((shared.home / "broker").stat().st_mode) == 0o700
    assert password not in repr(cluster.connection) + repr(cluster.access)
    assert not [word for word in seen_by_ps if password in word]


def test_a_program_needs_only_the_address_and_no_other_address_is_given_the_password(shared, broker_elsewhere):
    """That of the lab's broker in the background, or of a private one; not somebody else's, nor one of before."""
    with connect(shared) as kafka, private(settings=shared) as other:
        assert shared.connection_to(kafka.bootstrap) == kafka.connection
        assert shared.connection_to(other.bootstrap) == other.connection
        assert kafka.connection.password != other.connection.password
        assert shared.connection_to(broker_elsewhere.bootstrap) == Connection(broker_elsewhere.bootstrap)
        foreign = replace(shared, kafka=kafka.bootstrap)
        assert foreign.connection_to(kafka.bootstrap) == foreign.connection == Connection(kafka.bootstrap)


def test_each_start_has_a_new_password_and_an_open_broker_gets_one(shared):
    """Whoever listened at a dead broker's port learns nothing of use; and a hub may come to a machine later."""
    first, _ = background.ensure(replace(shared, password=False))
    assert not first.access
    second, started = background.ensure(shared)
    assert started
    assert second.access
    found, started = background.ensure(shared)
    assert not started
    assert found.access == second.access
    assert background.ensure(replace(shared, password=False))[0].access == second.access  # it runs with one
    background.stop_all(shared)
    third, _ = background.ensure(shared)
    assert third.access
    assert third.access != second.access
    background.stop_all(shared)
    assert not background.ensure(replace(shared, password=False))[0].access
    assert not (shared.home / "broker" / "client.properties").exists()


def account(number: int, shell: str = "/bin/bash") -> tuple:
    """An account with that number."""
    return pwd.struct_passwd((f"user{number}", "x", number, number, "", "/home", shell))


def test_a_machine_is_shared_when_more_than_one_person_has_an_account(monkeypatch):
    """The system's accounts are no people; under JupyterHub and with LAB_PASSWORD nobody is counted."""
    system = [account(0), account(33), account(65534), account(61_184), account(1001, "/usr/sbin/nologin")]
    for people, wanted in (([], False), ([account(1000)], False), ([account(1000), account(1002)], True)):
        monkeypatch.setattr(pwd, "getpwall", lambda people=people: system + people)
        settings = Settings.from_environment({"LAB_HOME": "/nowhere"})
        assert own_access.wanted(settings) is wanted
        assert own_access.wanted(Settings.from_environment({"LAB_PASSWORD": "On"}))
        assert own_access.wanted(Settings.from_environment({"JUPYTERHUB_USER": "anna"}))
        assert not own_access.wanted(Settings.from_environment({"LAB_PASSWORD": "off", "JUPYTERHUB_USER": "anna"}))
    with pytest.raises(LabError, match="LAB_PASSWORD is neither on nor off") as caught:
        Settings.from_environment({"LAB_PASSWORD": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_commands_find_the_password(shared, typed, seen_by_ps):
    """Also a tool in a terminal as `status` names it, and the registry in the background."""
    assert "is up at" in typed("up", "--registry").stdout
    password = str(own_access.recorded(shared.home / "broker").password)
    said = ""
    for words in (["status"], ["doctor"], ["tour"], ["watch", "--once"], ["dead-letters", "list", "91-x"]):
        run = typed(*words)
        said += run.stdout + run.stderr
    assert "wrong" not in said
    assert "nothing lost, nothing processed twice" in said
    (command,) = re.findall(r".*kafka_tool admin .*topics list", said)
    run = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert "_schemas" in run.stdout, run.stderr
    assert password not in said
    assert not [word for word in seen_by_ps if password in word]


def test_a_lesson_prints_the_same(shared):
    """Lesson 00: clients of the learner's own, and a tool in a terminal."""
    (path,) = (CHECKOUT / "notebooks").glob("00_*.ipynb")
    stored = nbformat.read(path, as_version=4)
    fresh = nbformat.from_dict(stored)
    notebooks.execute(notebooks.client_of(fresh, path.parent))
    assert notebooks.differing(stored.cells, fresh.cells) == []


def paid(database: Path) -> int:
    with contextlib.suppress(sqlite3.Error, LabError):  # the file or the table may not be there yet
        return orders.effects(database).total()
    return 0


def test_services_of_a_terminal_and_of_a_lesson_are_let_in(shared, tmp_path):
    """Payments, the relay, the registry; members of a group, with dead letters; on private brokers, too."""
    with connect(shared) as kafka, Lesson("91", kafka, shared) as lab:
        placed, sent, database = lab.topic("orders"), lab.topic("payments"), tmp_path / "shop.db"
        words = [lab.bootstrap, placed, "--group", lab.group("payments"), "--database", database, "--outbox", sent]
        events = [event for event in story.events(50) if event.event_type == "OrderCreated"]
        publish.publish(lab.producer(name="shop"), placed, events)
        assert lab.registry().ask("GET", "/subjects") == []
        with lab.python("-m", "labsupport.delivery.payments", *words):
            until(lambda: paid(database) == len(events), 300, "all to be paid")
        with lab.python("-m", "labsupport.delivery.outbox", lab.bootstrap, database):
            until(lambda: sum(log.bounds(lab, sent)[1].values()) == len(events), 300, "all payments to be sent")
        with lab.private() as own:
            topic = own.topic("orders", partitions=2)
            with own.members(topic, own.group("readers")) as members:
                members.start("A")
                until(lambda: own.owners(own.group("readers")).get("A") == [0, 1], 300, "A to have both partitions")


SERVER = """
import subprocess, sys, time
print(subprocess.run([sys.executable, "-m", "labsupport", "up"], capture_output=True, text=True).stdout, flush=True)
time.sleep(10_000)
"""


def test_under_a_hub_up_keeps_the_broker_as_long_as_the_server(elsewhere):
    """The server is the outermost program with the hub's variable; it is killed, and tells nobody."""
    given = {**os.environ, "JUPYTERHUB_USER": "anna"}
    with subprocess.Popen([sys.executable, "-c", SERVER], env=given, stdout=subprocess.PIPE, text=True) as server:
        assert "until your server stops" in server.stdout.readline()
        until(lambda: not any(processes.running(elsewhere, ["program"])), 300, "the command to end", every=0.1)
        assert processes.running(elsewhere, ["background"])
        server.kill()
    until(lambda: not processes.running(elsewhere, ["background"]), 300, "the broker to end", every=0.1)
