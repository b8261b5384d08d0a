"""`lab.py dead-letters`, as a person types it: what it prints, its exit codes, and that it asks before it sends."""

import re
from contextlib import closing

import pytest
from click.testing import CliRunner
from kafka import codec

from labsupport import redrive, sending, shop
from labsupport.commands import main
from labsupport.events import dead_letter
from labsupport.events.exact import ExactProducer
from labsupport.experiments import log

EVENTS = shop.events(6, seed=1)
DEAD = "98-orders-dlt"


@pytest.fixture
def topic(cluster):
    """A topic with EVENTS, and dead letters of the first four: three of a ValueError, one of a KeyError."""
    name = cluster.create_topic("98-orders")
    cluster.create_topic(DEAD, **dead_letter.topic_settings())
    sending.publish(cluster.producer(name="p"), name, EVENTS, dated=True)
    producer = cluster.producer(name="p")
    for number, record in enumerate(log.read(cluster, name).records[:4]):
        error = ValueError("amount: missing") if number < 3 else KeyError("user")
        key, value, headers = dead_letter.wrap(record, error, 3, f"98-payments-{number % 2}").encode()
        producer.send(DEAD, value, key, headers).get(timeout=10)
    return name


def back(cluster, topic):
    """What was sent back: where each record lay first."""
    found = [dead_letter.mark_of(record.headers) for record in log.read(cluster, topic).records]
    return [mark for mark in found if mark]


@pytest.mark.parametrize("name", sorted(main.dead_letters.commands))
def test_each_has_help_with_an_example(name):
    """Which begins with what one really types."""
    shown = CliRunner().invoke(main.lab, ["dead-letters", name, "--help"])
    assert shown.exit_code == 0
    assert re.search(rf"Example:\n +python3 lab\.py dead-letters {name}\b", shown.output)


def test_list(topic, lab):
    """A row for each, then how many of which error; the options choose."""
    shown = lab("dead-letters", "list", DEAD)
    assert shown.returncode == 0
    assert [line.split()[:4] for line in shown.stdout.splitlines()[1:5]] == [
        [f"{DEAD}/0/{number}", f"{topic}/0/{number}", f"98-payments-{number % 2}", "3"] for number in range(4)
    ]
    assert "4 dead letters in 98-orders-dlt: 3 ValueError, 1 KeyError; 0 were sent back" in shown.stdout
    assert "1 dead letters in 98-orders-dlt: 1 KeyError" in lab("dead-letters", "list", DEAD, "--error", "user").stdout
    assert "2 dead letters" in lab("dead-letters", "list", DEAD, "--group", "98-payments-1").stdout
    assert "… and 3 more" in lab("dead-letters", "list", DEAD, "--most", "1").stdout


def test_a_dead_letter_with_an_odd_header_is_listed_shown_and_sent_back(cluster, topic, lab, header_name):
    """Its name is bytes that are no UTF-8."""
    record = log.read(cluster, topic).records[4]
    key, value, headers = dead_letter.wrap(record, ValueError("odd"), 1, "98-payments-0").encode()
    cluster.producer(name="p").send(DEAD, value, key, [(header_name(b"gr\xf6\xdfe"), b"1"), *headers]).get(timeout=10)
    assert "5 dead letters in 98-orders-dlt" in lab("dead-letters", "list", DEAD).stdout
    assert "header       gr??e: 1" in lab("dead-letters", "show", f"{DEAD}/0/4").stdout
    assert lab("dead-letters", "redrive", DEAD, "--error", "odd", "--yes").returncode == 0
    assert back(cluster, topic) == [(f"{topic}/0/4", None)]


def test_one_that_cannot_be_read_is_named_and_the_rest_are_listed(cluster, topic, monkeypatch):
    """Its codec is missing: what lies before and behind it is there."""
    record = log.read(cluster, topic).records[4]
    key, value, headers = dead_letter.wrap(record, ValueError("packed"), 1, "98-payments-0").encode()
    for how in ("lz4", None):
        cluster.producer(name="p", compression_type=how).send(DEAD, value, key, headers).get(timeout=10)
    monkeypatch.setattr(codec, "lz4", None)
    shown = CliRunner().invoke(main.lab, ["dead-letters", "list", DEAD])
    assert shown.exit_code == 0
    assert [line.split()[0] for line in shown.output.splitlines()[1:6]] == [
        f"{DEAD}/0/{each}" for each in (0, 1, 2, 3, 5)
    ]
    assert "5 dead letters in 98-orders-dlt: 4 ValueError, 1 KeyError; 0 were sent back" in shown.output
    assert "1 more lie there that this client cannot read:" in shown.output
    assert f"{DEAD}/0/4: UnsupportedCodecError: Libraries for lz4" in shown.output


def test_show(topic, lab):
    """One, whole: where it lay, who failed, why, and the event itself."""
    shown = lab("dead-letters", "show", f"{DEAD}/0/3")
    assert shown.returncode == 0
    for said in (
        f"dead letter  {DEAD}/0/3, written ",
        f"record       {topic}/0/3, of 2026-04-16T10:30:03Z",
        "group        98-payments-1, 3 attempts",
        "error        KeyError: 'user'",
        "sent back    no",
        f"header       event_id: {EVENTS[3].event_id}",
        f"value        {EVENTS[3].encode().decode()}",
    ):
        assert said in shown.stdout


def test_redrive_says_what_it_would_send_and_asks(cluster, topic, lab):
    """A dry run changes nothing; without a yes neither does the command; with one it sends; again it does not."""
    words = ["dead-letters", "redrive", DEAD, "--error", "ValueError"]
    dry = lab(*words, "--dry-run")
    assert dry.returncode == 0
    assert "3 chosen, 3 would be sent" in dry.stdout
    no = lab(*words, stdin="n\n")
    assert (no.returncode, "Nothing was sent." in no.stdout) == (1, True)
    assert back(cluster, topic) == []
    yes = lab(*words, stdin="y\n")
    assert yes.returncode == 0
    assert "Send 3 back?" in yes.stdout
    assert "3 chosen, 3 sent" in yes.stdout
    assert back(cluster, topic) == [(f"{topic}/0/{number}", None) for number in range(3)]
    again = lab("dead-letters", "redrive", DEAD, "--yes", "--only-its-group")
    assert "3 skipped: sent before" in again.stdout
    assert back(cluster, topic)[3:] == [(f"{topic}/0/3", "98-payments-1")]
    nothing = lab("dead-letters", "redrive", DEAD, "--only-its-group")  # it has nothing to ask for
    assert (nothing.returncode, "4 skipped: sent before" in nothing.stdout) == (0, True)
    assert "4 were sent back" in lab("dead-letters", "list", DEAD).stdout


def test_what_is_typed_wrongly_is_told(cluster, topic, lab):
    """No such topic, no such dead letter, a topic of events, and something that is no place."""
    missing = lab("dead-letters", "list", "98-never-dlt")
    assert missing.returncode == 1
    assert "There is no topic '98-never-dlt'" in missing.stderr
    nowhere = lab("dead-letters", "show", f"{DEAD}/0/99")
    assert nowhere.returncode == 1
    assert f"There is no dead letter at {DEAD}/0/99" in nowhere.stderr
    events = lab("dead-letters", "list", topic)
    assert "6 records there are no dead letters: is it the topic of dead letters" in events.stdout
    assert lab("dead-letters", "show", "98-orders").returncode == 2
    assert lab("dead-letters", "list", DEAD, "--since", "2026-04-16T10:30:00").returncode == 2


def test_dead_letters_of_somebody_elses_topic_are_not_sent_there(cluster, topic, lab):
    """Their topic has no name of the lab's."""
    foreign = dead_letter.wrap(log.read(cluster, topic).records[0]._replace(topic="orders"), ValueError(), 1, "g")
    key, value, headers = foreign.encode()
    with closing(ExactProducer(cluster.bootstrap)) as producer:
        producer.send(DEAD, value, key, headers).get()
    refused = lab("dead-letters", "redrive", DEAD, "--yes")
    assert refused.returncode == 1
    assert "The lab does not send to 'orders'" in refused.stderr
    assert redrive.marks(cluster.consumer(name="r"), [topic]) == set()
