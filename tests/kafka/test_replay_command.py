"""`lab.py replay`, as a person types it: what it prints, its exit codes, and what it says when it is interrupted."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest
from click.testing import CliRunner
from kafka import TopicPartition

from labsupport import publish, reading, report, reset, story
from labsupport.commands import main
from labsupport.commands import replay as replay_command
from labsupport.experiments.watching import log
from labsupport.settings import CHECKOUT
from labsupport.waiting import until

EVENTS = story.events(200, seed=1)
ORDERS = sum(each.event_type == "OrderCreated" for each in EVENTS)


@pytest.fixture
def topic(cluster):
    """A topic whose records have their events' times; the groups of these tests do not exist."""
    cluster.delete_groups(["98-reports", "98-rebuilt"])
    name = cluster.create_topic("98-orders", 2)
    publish.publish(cluster.producer(name="p"), name, EVENTS, dated=True)
    return name


def fails(run, code, *said):
    """Whether it ended with that exit code, in sentences."""
    assert run.returncode == code
    assert all(each in run.stderr for each in said), run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("name", sorted(replay_command.replay.commands))
def test_each_has_help_with_an_example(name):
    """Which begins with what one really types."""
    shown = CliRunner().invoke(main.lab, ["replay", name, "--help"])
    assert shown.exit_code == 0
    assert re.search(rf"Example:\n +python3 lab\.py replay {name}\b", shown.output)


def test_send(cluster, topic, lab):
    """First dry, then really: the same count; the copies are marked with the name that was given."""
    target = cluster.create_topic("98-again")
    words = ["replay", "send", topic, target, "--type", "OrderCreated", "--id", "july"]
    dry = lab(*words, "--dry-run")
    assert dry.returncode == 0
    assert f"{ORDERS} chosen, {ORDERS} would be sent" in dry.stdout
    assert log.bounds(cluster, target)[1] == {0: 0}
    no = lab(*words, stdin="n\n")
    assert (no.returncode, "Nothing was sent." in no.stdout) == (1, True)
    nobody = lab(*words)
    assert (nobody.returncode, "There was nobody to answer: use --yes" in nobody.stdout) == (1, True)
    assert log.bounds(cluster, target)[1] == {0: 0}
    yes = lab(*words, stdin="y\n").stdout
    assert f"Send {ORDERS} to {target}?" in yes
    assert f"{ORDERS} chosen, {ORDERS} sent" in yes
    records = log.read(cluster, target).records
    assert len(records) == ORDERS
    assert {dict(each.headers)["replay_id"] for each in records} == {b"july"}
    again = lab(*words, "--yes").stdout
    assert ("would" in again, f"{ORDERS} sent" in again) == (False, True)
    nothing = lab("replay", "send", topic, target, "--key", "nobody")  # it has nothing to ask for
    assert (nothing.returncode, "0 chosen, 0 would be sent" in nothing.stdout) == (0, True)


def test_what_a_broker_refused_is_not_called_unknown(cluster, lab):
    """Copies dated ahead, which the target does not take: refused, and certainly not stored."""
    ahead = cluster.create_topic("98-orders", message_timestamp_after_max_ms=2**62)
    target = cluster.create_topic("98-again")
    tomorrow = int(1_000 * time.time()) + 2 * 86_400_000
    for number in range(2):
        cluster.producer(name="p").send(ahead, b"%d" % number, timestamp_ms=tomorrow).get(timeout=300)
    run = lab("replay", "send", ahead, target, "--yes")
    fails(run, 1, "0 sent", "refused, and not stored: Invalid")  # InvalidRecordError or, alone, InvalidTimestampError
    refused = re.findall(r"(\d+) refused, and not stored: ", run.stderr)  # in two batches they have two errors
    assert sum(map(int, refused)) == 2, run.stderr
    assert "stored or not" not in run.stderr
    assert log.bounds(cluster, target)[1] == {0: 0}


def test_what_is_chosen_is_what_the_options_say(cluster, topic, lab):
    """Time, offsets, partition, keys: together."""
    target = cluster.create_topic("98-again")
    shown = lab(
        "replay", "send", topic, target, "--since", "2026-04-16T12:30:10+02:00", "--before", "2026-04-16T10:31:00Z",
        "--partition", "0", "--start", "2", "--stop", "500", "--key", "ORD-123", "--key", "ORD-125", "--dry-run",
    ).stdout  # fmt: skip
    held = [each for each in log.read(cluster, topic).records if each.partition == 0 and each.offset >= 2]
    ours = [each for each in held if each.key in (b"ORD-123", b"ORD-125")]
    opening = EVENTS[0].timestamp.timestamp() * 1_000
    fits = [each for each in ours if opening + 10_000 <= each.timestamp < opening + 60_000]
    assert f" {len(fits)} chosen" in shown
    assert "left out by time" in shown
    assert "offset 500 is not there yet" in shown


@pytest.mark.parametrize(("words", "code", "said"), [
    (["send", "98-orders", "98-again", "--since", "2026-04-16T10:30:00"], 2, "names no time zone"),
    (["send", "98-orders", "98-again", "--since", "yesterday"], 2, "is not a time such as"),
    (["send", "98-orders", "98-again", "--start", "-1"], 2, "not in the range"),
    (["send", "98-orders"], 2, "Missing argument 'TARGET'"),
    (["reset", "98-reports", "98-orders"], 2, "one of --to, --time, --offset, --shift"),
    (["reset", "98-reports", "98-orders", "--to", "latest", "--shift", "1"], 2, "one of --to"),
    (["reset", "98-reports", "98-orders", "--to", "start"], 2, "not one of 'earliest', 'latest'"),
    (["rebuild", "98-orders", "--group", "98-rebuilt"], 2, "Missing option '--into'"),
    (["send", "98-orders", "foreign"], 1, "does not send to 'foreign'"),
    (["reset", "foreign", "98-orders", "--to", "latest"], 1, "does not reset 'foreign'"),
    (["rebuild", "98-orders", "--group", "foreign", "--into", "x.db"], 1, "does not commit for 'foreign'"),
    (["send", "98-orders", "98-nowhere"], 1, "no topic '98-nowhere'"),
    (["send", "98-nowhere", "98-orders"], 1, "no topic '98-nowhere'"),
    (["send", "98-orders", "98-orders", "--partition", "7"], 1, "no partition 7"),
    (["send", "98-orders", "98-orders", "--start", "4", "--stop", "4"], 1, "nothing lies between"),
    (["reset", "98-reports", "98-nowhere", "--to", "latest"], 1, "no topic '98-nowhere'"),
    (["reset", "98-reports", "98-orders", "--shift", "-1"], 1, "cannot be shifted"),
    (["handle", "98-orders", "nowhere.py:handle"], 1, "no Python file 'nowhere.py'"),
    (["handle", "98-orders", "handle"], 1, "give file and function"),
    (["handle", "98-orders", "README.md:handle"], 1, "no Python file 'README.md'"),
])  # fmt: skip
def test_what_cannot_be_is_a_sentence_and_an_exit_code(topic, lab, words, code, said):
    """2 if it was typed wrongly, 1 if it does not work."""
    fails(lab("replay", *words), code, said)


HANDLER = """
from pathlib import Path

def handle(event):
    if event.payload.get("order_id") == "ORD-130":
        raise ValueError("no such order")
    with Path(__file__).with_suffix(".txt").open("a") as file:
        file.write(event.event_id + "\\n")

def marks(record):
    with Path(__file__).with_suffix(".txt").open("a") as file:
        file.write(dict(record.headers)["replay_origin"].decode() + "\\n")
"""


def test_handle(topic, lab, tmp_path):
    """A function of a file gets the events, or the records with their marks; with a dry run neither."""
    (tmp_path / "mails.py").write_text(HANDLER)
    function, written = f"{tmp_path / 'mails.py'}:handle", tmp_path / "mails.txt"
    words = ["replay", "handle", topic, function, "--key", EVENTS[0].payload["order_id"]]
    assert "2 would be handled" in lab(*words, "--dry-run").stdout
    assert not written.exists()
    assert "2 chosen, 2 handled" in lab(*words).stdout
    assert EVENTS[0].event_id in written.read_text().splitlines()
    marks = lab("replay", "handle", topic, f"{tmp_path / 'mails.py'}:marks", "--records", "--stop", "1")
    assert "2 handled" in marks.stdout
    assert written.read_text().splitlines()[2:] == ["98-orders/0/0", "98-orders/1/0"]


def test_a_function_that_raises_ends_it_and_is_told(topic, lab, tmp_path):
    """What it raised, where, with which event, and how far the replay came."""
    (tmp_path / "mails.py").write_text(HANDLER)
    run = lab("replay", "handle", topic, f"{tmp_path / 'mails.py'}:handle")
    fails(run, 1, "Not finished", "came to offset", "ValueError: no such order (mails.py, line 6)", "ORD-130")
    (tmp_path / "broken.py").write_text("import nothing_of_this_name")
    fails(lab("replay", "handle", topic, f"{tmp_path / 'broken.py'}:f"), 1, "cannot be run", "ModuleNotFoundError")
    fails(lab("replay", "handle", topic, f"{tmp_path / 'mails.py'}:f"), 1, "has no function 'f'")


def test_rebuild(topic, lab, tmp_path):
    """A report in a file, with its hash; a second time, and into a file that does not fit, it is refused."""
    words = ["replay", "rebuild", topic, "--group", "98-rebuilt", "--into"]
    run = lab(*words, str(tmp_path / "r.db"))
    assert run.returncode == 0
    with closing(report.database(tmp_path / "r.db")) as database:
        assert f"hash {report.digest(database)}" in run.stdout
    fails(lab(*words, str(tmp_path / "r.db")), 1, "has committed offsets in 98-orders already")
    fails(lab(*words, str(tmp_path / "other.db")), 1, "98-rebuilt has begun already")
    assert not (tmp_path / "other.db").exists()
    (tmp_path / "text").write_text("no database" * 100)
    words[4] = "98-reports"
    fails(lab(*words, str(tmp_path / "text")), 1, "cannot be used for a report")
    fails(lab(*words, str(tmp_path / "nowhere" / "r.db")), 1, "cannot be used for a report")


def test_reset(cluster, topic, lab):
    """First dry; then the group reads again. With a member it is refused with its name."""
    consumer = cluster.consumer(topic, name="A", group_id="98-reports", auto_offset_reset="earliest")
    for record in reading.to_the_end(consumer):
        consumer.commit(reading.after(record))
    fails(lab("replay", "reset", "98-reports", topic, "--to", "earliest"), 1, "it has members: A")
    cluster.close_client("A")
    before = log.committed(cluster, topic, "98-reports")
    assert "would go on" in lab("replay", "reset", "98-reports", topic, "--to", "earliest", "--dry-run").stdout
    assert log.committed(cluster, topic, "98-reports") == before
    words = ["replay", "reset", "98-reports", topic, "--yes"]
    assert "partition 0: at offset 0" in lab(*words, "--to", "earliest").stdout
    assert log.committed(cluster, topic, "98-reports") == {0: 0, 1: 0}
    assert "log begins at 0" in lab(*words, "--time", "2020-01-01T00:00:00Z").stdout


def test_reset_asks_and_sets_what_it_asked_about(cluster, topic, lab):
    """The end is the end that was shown, whatever comes meanwhile; if the group has moved, nothing is set."""
    words = [sys.executable, "-m", "labsupport", "replay", "reset", "98-reports", topic, "--to", "latest"]
    ends = log.bounds(cluster, topic)[1]
    no = lab(*words[3:], stdin="n\n")
    assert (no.returncode, "Nothing was changed." in no.stdout) == (1, True)
    assert log.committed(cluster, topic, "98-reports") == {}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    for moved, code in ((False, 0), (True, 1)):
        asking = subprocess.Popen(words, cwd=CHECKOUT, **pipes)
        try:
            printed = ""
            while "there?" not in printed:
                printed += asking.stdout.read(1)
                assert asking.poll() is None, printed
            if moved:
                reset.reset_offsets(cluster.admin(), "98-reports", topic, to="earliest")
            else:
                publish.publish(cluster.producer(name="p"), topic, EVENTS[:10])
            _, told = asking.communicate("y\n", timeout=300)
        finally:
            asking.kill()
            asking.wait()
        assert asking.returncode == code
        assert ("98-reports was not reset: its offsets have changed meanwhile" in told) == moved
        assert log.committed(cluster, topic, "98-reports") == (dict.fromkeys(ends, 0) if moved else ends)


WAITS = """
import time
from pathlib import Path

def handle(event):
    if event.event_id == "%s":
        Path(__file__).with_suffix(".here").touch()
        time.sleep(60)
"""


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_how_far_it_came(cluster, lab, tmp_path, way):
    """Ctrl-C in the middle of an event: exit code 130, and the account without that event."""
    topic = cluster.create_topic("98-orders")
    publish.publish(cluster.producer(name="p"), topic, EVENTS)
    (tmp_path / "waits.py").write_text(WAITS % EVENTS[70].event_id)
    process = subprocess.Popen(
        [sys.executable, "-m", "labsupport", "replay", "handle", topic, f"{tmp_path / 'waits.py'}:handle"],
        cwd=CHECKOUT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until((tmp_path / "waits.here").exists, 300, "it to be in the middle")
        process.send_signal(way)
        printed, told = process.communicate(timeout=300)
    finally:
        process.kill()
    assert (process.returncode, printed) == (130, "")
    assert "Not finished.\n98-orders: 71 records read (read_committed), 71 chosen, 70 handled\n" in told
    assert "partition 0: came to offset 70 of 0 to 199" in told
    assert "Stopped." in told


def test_elsewhere_only_names_of_ones_own_are_touched(broker_elsewhere, lab):
    """On somebody else's Kafka: with the learner's prefix."""
    there = {"LAB_KAFKA": broker_elsewhere.bootstrap, "LAB_LEARNER": "anna"}
    fails(lab("replay", "reset", "98-reports", "98-orders", "--to", "latest", **there), 1, "lab-anna-NN-name")


def test_without_kafka_it_is_a_sentence(lab):
    """Nobody listens there."""
    fails(
        lab("replay", "reset", "98-reports", "98-orders", "--to", "latest", LAB_KAFKA="127.0.0.1:1"), 1, "127.0.0.1:1"
    )


def test_what_was_deleted_is_told(cluster, topic, lab):
    """An offset before the beginning is the beginning."""
    cluster.admin().delete_records({TopicPartition(topic, 0): 10})
    shown = lab("replay", "send", topic, topic, "--partition", "0", "--start", "3", "--dry-run").stdout
    assert "offset 3 is not there any more: the log begins at 10" in shown
