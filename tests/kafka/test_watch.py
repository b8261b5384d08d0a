"""`lab.py watch` on a real broker: once, live in a terminal, and with a broker that goes away."""

import os
import re
import select
import signal
import subprocess
import sys
import urllib.request

import pytest

from labsupport.broker.cluster import private
from labsupport.commands import watch
from labsupport.experiments.breaking.members import managed
from labsupport.observability.group_watch import Row, View
from labsupport.settings import CHECKOUT
from labsupport.waiting import until

TOPIC, GROUP = "95-watched", "95-watched-group"


class Terminal:
    """`lab.py watch` in a terminal (a pseudo-terminal, as `ssh` makes one)."""

    def __init__(self, *words, **environment):
        import pty

        self.ours, theirs = pty.openpty()
        self.text, self.printed = "", ""  # since the last find, and in all
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labsupport", "watch", *words],
            env={**os.environ, "TERM": "xterm", "COLUMNS": "150", "LINES": "50", **environment},
            cwd=CHECKOUT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def shows(self, words):
        """Whether the words have been on the screen, since they were last found there."""
        while select.select([self.ours], [], [], 0)[0]:
            try:
                read = os.read(self.ours, 65_536).decode(errors="replace")
            except OSError:  # the program has ended
                break
            self.text += read
            self.printed += read
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text).replace("\r", "")
        found = words in plain
        if found:
            self.text = ""
        return found

    def close(self):
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.ours)


@pytest.fixture
def terminal():
    """`terminal("--age", "2", LAB_KAFKA=…)`; all are closed after the test."""
    running = []

    def start(*words, **environment):
        running.append(Terminal(*words, **environment))
        return running[-1]

    yield start
    for each in running:
        each.close()


def test_once_in_a_pipe(cluster, lab):
    """A dead consumer, in words; a narrow pipe cuts nothing. Not a terminal is as --once."""
    cluster.create_topic(TOPIC, 2)
    cluster.create_topic(f"{TOPIC}-dlt", 1)
    producer = cluster.producer(name="shop")
    with managed(cluster, TOPIC, GROUP) as members:
        members.start("A")
        for _ in range(3):
            producer.send(TOPIC, b"", partition=0).get(timeout=300)
        producer.send(f"{TOPIC}-dlt", b"").get(timeout=300)
        members.wait_for_handled(3)
        members.stop("A")
        for _ in range(2):
            producer.send(TOPIC, b"", partition=0).get(timeout=300)
    for words in (["watch", GROUP], ["watch", "--once", GROUP]):
        shown = lab(*words)
        assert shown.returncode == 0, shown.stderr
        assert f"{GROUP}: no member reads it, and records wait: 2 records of {TOPIC}" in " ".join(shown.stdout.split())
        assert f"Dead letters in {TOPIC}-dlt: 1" in shown.stdout
        assert re.search(rf"{GROUP} +Empty +0 +2 ", shown.stdout)


def test_bad_input(typed, elsewhere):
    """Each gets a sentence, and no traceback."""
    assert "not host:port" in typed("watch", "--once", "--at", "nowhere").stderr
    assert typed("watch", "--once", "--at", "127.0.0.1:1").returncode == 1
    stopped = typed("watch", "--once")
    assert (stopped.returncode, "python3 lab.py up" in stopped.stderr) == (1, True)
    assert typed("watch", "--every", "0").returncode == 2


def test_no_groups_is_said(settings, lab):
    """A Kafka that is new."""
    with private(1, settings) as kafka:
        shown = lab("watch", "--at", kafka.bootstrap)
    assert "There are no groups." in shown.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_live_it_names_what_is_wrong_survives_a_dead_broker_and_ends_with_ctrl_c(settings, terminal):
    """A frozen member: old records in its partition. Then the broker is killed and comes back."""
    with private(1, settings) as kafka:
        kafka.create_topic(TOPIC, 1)
        with managed(kafka, TOPIC, GROUP, session_timeout_ms=60_000) as members:
            members.start("A", freeze_at="handling", settle=False)
            kafka.producer(name="shop").send(TOPIC, b"").get(timeout=300)
            screen = terminal("--every", "0.2", "--age", "2", "--at", kafka.bootstrap)
            until(lambda: screen.shows(f"{TOPIC}/0 stands still at offset 0"), 300, "the partition to be named")
            kafka.broker().kill()
            until(lambda: screen.shows("Kafka does not answer"), 300, "the screen to say that Kafka is away")
            kafka.broker().start()
            until(lambda: screen.shows(f"{TOPIC}/0 stands still at offset 0"), 300, "the screen to go on")
            screen.process.send_signal(signal.SIGINT)
            assert screen.process.wait(300) == 130
            assert screen.shows("Stopped.")
            assert "Traceback" not in screen.printed
            assert "waiting for" not in screen.printed


def test_it_serves_its_numbers_until_it_is_stopped(cluster, lab):
    """Without a terminal too: so it can be a service."""
    command = [sys.executable, "-m", "labsupport", "watch", "--at", cluster.bootstrap, "--metrics-port", "0"]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+", process.stdout.readline())[0]
        with urllib.request.urlopen(url, timeout=300) as page:
            assert b"kafka_lag_exporter_up 1.0" in page.read()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 130
        process.stdout.close()


def test_two_hundred_groups_fit_on_a_screen():
    """The first are shown, those with something wrong before the others, and the rest is counted."""
    rows = tuple(Row(f"group-{number}", "Stable", 1, 0, 0.0, None, ()) for number in range(200))
    with watch.console.capture() as printed:
        watch.console.print(watch.screen(View(0.0, rows, ())))
    assert "… and 170 more" in printed.get()
