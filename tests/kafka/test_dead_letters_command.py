"""`lab.py dead-letters`, as a person types it: what it prints, its exit codes, and that it asks before it sends."""

import re
import signal
import struct
import subprocess
import sys
from contextlib import closing

import pytest
from click.testing import CliRunner
from kafka import codec
from rich.cells import cell_len

from labsupport import publish, redrive, story
from labsupport.commands import dead_letters as commands
from labsupport.commands import main
from labsupport.delivery import dead_letter
from labsupport.delivery.dead_letter import DeadLetter
from labsupport.experiments.watching import log
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.history.redrive import Found
from labsupport.settings import CHECKOUT

EVENTS = story.events(6, seed=1)
DEAD = "98-orders-dlt"


@pytest.fixture
def topic(cluster):
    """A topic with EVENTS, and dead letters of the first four: three of a ValueError, one of a KeyError."""
    name = cluster.create_topic("98-orders")
    cluster.create_topic(DEAD, **dead_letter.topic_settings())
    publish.publish(cluster.producer(name="p"), name, EVENTS, dated=True)
    producer = cluster.producer(name="p")
    for number, record in enumerate(log.read(cluster, name).records[:4]):
        error = ValueError("amount: missing") if number < 3 else KeyError("user")
        key, value, headers = dead_letter.wrap(record, error, 3, f"98-payments-{number % 2}").encode()
        producer.send(DEAD, value, key, headers).get(timeout=300)
    return name


def back(cluster, topic):
    """What was sent back: where each record lay first."""
    found = [dead_letter.mark_of(record.headers) for record in log.read(cluster, topic).records]
    return [mark for mark in found if mark]


@pytest.mark.parametrize("name", sorted(commands.dead_letters.commands))
def test_each_has_help_with_an_example(name):
    """Which begins with what one really types."""
    shown = CliRunner().invoke(main.lab, ["dead-letters", name, "--help"])
    assert shown.exit_code == 0
    assert re.search(rf"Example:\n +python3 lab\.py dead-letters {name}\b", shown.output)


def test_list(topic, lab):
    """A row for each, then how many of which error; the options choose."""
    shown = lab("dead-letters", "list", DEAD, COLUMNS="")
    assert shown.returncode == 0
    assert [line.split()[:4] for line in shown.stdout.splitlines()[1:5]] == [
        [f"{DEAD}/0/{number}", f"{topic}/0/{number}", f"98-payments-{number % 2}", "3"] for number in range(4)
    ]
    assert (
        "4 dead letters in 98-orders-dlt (read_committed): 3 ValueError, 1 KeyError; 0 were sent back" in shown.stdout
    )
    assert (
        "1 dead letters in 98-orders-dlt (read_committed): 1 KeyError"
        in lab("dead-letters", "list", DEAD, "--error", "user").stdout
    )
    assert "2 dead letters" in lab("dead-letters", "list", DEAD, "--group", "98-payments-1").stdout
    assert "… and 3 more" in lab("dead-letters", "list", DEAD, "--most", "1").stdout


def test_a_dead_letter_with_an_odd_header_is_listed_shown_and_sent_back(cluster, topic, lab, header_name):
    """Its name is bytes that are no UTF-8."""
    record = log.read(cluster, topic).records[4]
    key, value, headers = dead_letter.wrap(record, ValueError("odd"), 1, "98-payments-0").encode()
    cluster.producer(name="p").send(DEAD, value, key, [(header_name(b"gr\xf6\xdfe"), b"1"), *headers]).get(timeout=300)
    assert "5 dead letters in 98-orders-dlt" in lab("dead-letters", "list", DEAD).stdout
    assert "header       gr??e: 1" in lab("dead-letters", "show", f"{DEAD}/0/4").stdout
    assert lab("dead-letters", "redrive", DEAD, "--error", "odd", "--yes").returncode == 0
    assert back(cluster, topic) == [(f"{topic}/0/4", None)]


def test_one_that_cannot_be_read_is_named_and_the_rest_are_listed(cluster, topic, monkeypatch):
    """Its codec is missing: what lies before and behind it is there."""
    record = log.read(cluster, topic).records[4]
    key, value, headers = dead_letter.wrap(record, ValueError("packed"), 1, "98-payments-0").encode()
    for how in ("lz4", None):
        cluster.producer(name="p", compression_type=how).send(DEAD, value, key, headers).get(timeout=300)
    monkeypatch.setattr(codec, "lz4", None)
    shown = CliRunner().invoke(main.lab, ["dead-letters", "list", DEAD])
    assert shown.exit_code == 0
    assert [line.split()[0] for line in shown.output.splitlines()[1:6]] == [
        f"{DEAD}/0/{each}" for each in (0, 1, 2, 3, 5)
    ]
    assert (
        "5 dead letters in 98-orders-dlt (read_committed): 4 ValueError, 1 KeyError; 0 were sent back" in shown.output
    )
    assert "1 more cannot be read by this client:" in shown.output
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
    all_of_them = lab("dead-letters", "redrive", DEAD, "--yes")
    assert "1 skipped: sent before, to one group only" in all_of_them.stdout
    assert "--widen to all" in all_of_them.stdout
    nothing = lab("dead-letters", "redrive", DEAD, "--only-its-group")  # it has nothing to ask for
    assert (nothing.returncode, "4 skipped: sent before" in nothing.stdout) == (0, True)
    assert "4 were sent back" in lab("dead-letters", "list", DEAD).stdout


def test_what_is_typed_wrongly_is_told(cluster, topic, lab):
    """No such topic, no such dead letter, a topic of events, and something that is not a record."""
    missing = lab("dead-letters", "list", "98-never-dlt")
    assert missing.returncode == 1
    assert "There is no topic '98-never-dlt'" in missing.stderr
    nowhere = lab("dead-letters", "show", f"{DEAD}/0/99")
    assert nowhere.returncode == 1
    assert f"There is no dead letter at {DEAD}/0/99" in nowhere.stderr
    events = lab("dead-letters", "list", topic)
    assert "6 records in it are no dead letters. Is it a dead letter topic" in events.stdout
    assert lab("dead-letters", "show", "98-orders").returncode == 2
    assert lab("dead-letters", "list", DEAD, "--since", "2026-04-16T10:30:00").returncode == 2


def test_dead_letters_of_somebody_elses_topic_are_not_sent_there(cluster, topic, lab):
    """Their topic has no name of the lab's."""
    foreign = dead_letter.wrap(log.read(cluster, topic).records[0]._replace(topic="orders"), ValueError(), 1, "g")
    key, value, headers = foreign.encode()
    with closing(ConfluentProducer(cluster.bootstrap)) as producer:
        producer.send(DEAD, value, key, headers).get()
    refused = lab("dead-letters", "redrive", DEAD, "--yes")
    assert refused.returncode == 1
    assert "The lab does not send to 'orders'" in refused.stderr
    assert back(cluster, topic) == []


def test_where_nobody_can_answer_nothing_is_sent(cluster, topic, lab):
    """No terminal and no input: that is a no, and it says how to say yes."""
    run = lab("dead-letters", "redrive", DEAD)
    assert run.returncode == 1
    assert "Nothing was sent. There was nobody to answer: use --yes" in run.stdout
    assert back(cluster, topic) == []


def read_up_to(process, question):
    """Read what the process prints, until it asks."""
    printed = ""
    while question not in printed:
        read = process.stdout.read(1)
        assert read, printed
        printed += read


def test_what_was_asked_about_is_what_is_sent(cluster, topic):
    """Two dead letters arrive while it asks: they are not sent, nor is what somebody else has sent meanwhile."""
    words = [sys.executable, "-m", "labsupport", "dead-letters", "redrive", DEAD]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": CHECKOUT}
    asking = subprocess.Popen(words, **pipes)
    try:
        read_up_to(asking, "Send 4 back?")
        records = log.read(cluster, topic).records
        foreign = records[4]._replace(topic="orders")  # somebody else's topic: it was not there to be refused
        for record in (records[5], foreign):
            key, value, headers = dead_letter.wrap(record, ValueError(), 3, "98-payments-0").encode()
            cluster.producer(name="p").send(DEAD, value, key, headers).get(timeout=300)
        first = redrive.selection(DEAD, start=0, stop=1)
        assert redrive.redrive(cluster.consumer(name="r"), cluster.producer(name="p"), first).done == 1
        printed, _ = asking.communicate("y\n", timeout=300)
    finally:
        asking.kill()
        asking.wait()
    assert asking.returncode == 0
    assert "4 chosen, 3 sent" in printed
    assert back(cluster, topic) == [(f"{topic}/0/{number}", None) for number in range(4)]


def test_two_at_once_send_each_once(cluster, topic):
    """Both see four to send; the second one sends what the first has left."""
    words = [sys.executable, "-m", "labsupport", "dead-letters", "redrive", DEAD, "--yes"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) for _ in range(2)]
    told = [each.communicate(timeout=300)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], told
    assert sorted(back(cluster, topic)) == [(f"{topic}/0/{number}", None) for number in range(4)]


def test_ctrl_c_at_the_question_sends_nothing(cluster, topic):
    """It ends as everywhere."""
    words = [sys.executable, "-m", "labsupport", "dead-letters", "redrive", DEAD]
    asking = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    try:
        read_up_to(asking, "back?")
        asking.send_signal(signal.SIGINT)
        asking.communicate(timeout=300)
    finally:
        asking.kill()
        asking.wait()
    assert asking.returncode == 130
    assert back(cluster, topic) == []


LONG = "lab-anna_annaslaptop-09-orders"


@pytest.mark.parametrize("columns", ["40", "60", "80", "100", "300"])
@pytest.mark.parametrize("topic_of", ["98-orders", LONG, "98-" + "x" * 90])
def test_the_place_is_never_cut(columns, topic_of):
    """However narrow the terminal and long the name. Only coordinates may be longer than a line."""
    letter = DeadLetter(
        topic_of, 0, 7, 0, "g", "a.b.ValueError", "amount: missing\n\x1b[31mred 金額", 3, b"ORD-1", b"v", ()
    )
    found = [Found(f"{topic_of}-dlt/0/{number}", None, letter) for number in (8, 1_000_000)]
    lines = commands.table(found, int(columns))
    for each in found:
        assert [line for line in lines if each.coordinates in line.split()]
    assert all(cell_len(line) <= int(columns) or line.endswith(("/0/8", "/0/1000000")) for line in lines)
    assert "ORD-1" in "".join(lines)
    assert any("amount" in line or "ValueErr" in line for line in lines)
    assert "\x1b" not in "".join(lines)
    piped = commands.table(found, None)
    assert all(each.coordinates in "".join(piped) for each in found)
    assert "amount: missing  [31mred 金額" in piped[1]


def test_list_at_80_columns_and_in_a_pipe_names_places_that_show_takes(cluster, topic, lab):
    """With key and message in both."""
    for environment in ({"COLUMNS": "80"}, {"COLUMNS": ""}):
        shown = lab("dead-letters", "list", DEAD, **environment)
        coordinates = re.findall(rf"^{DEAD}/0/\d+", shown.stdout, re.MULTILINE)
        assert len(coordinates) == 4, shown.stdout
        assert EVENTS[0].payload["order_id"] in shown.stdout
        assert "amount: missing" in shown.stdout
    assert lab("dead-letters", "show", coordinates[0]).returncode == 0


def test_a_group_or_an_error_that_is_not_there_says_which_are(topic, lab):
    """The lab's groups begin with the lesson's number."""
    shown = lab("dead-letters", "list", DEAD, "--group", "payments-1").stdout
    assert "0 dead letters in 98-orders-dlt" in shown
    assert "None with --group payments-1. There are: 98-payments-0 (2), 98-payments-1 (2)" in shown
    shown = lab("dead-letters", "redrive", DEAD, "--error", "IOError", "--dry-run").stdout
    assert "4 left out by error" in shown
    assert "None with --error IOError. There are: ValueError (3), KeyError (1)" in shown
    assert "choose among these, or name none" in lab("dead-letters", "list", DEAD, "--partition", "7").stderr


def test_other_tools_dead_letters_are_listed_shown_and_sent(cluster, topic, lab):
    """Spring's, Connect's and Streams': by the cause, without 1969, and without a header too many afterwards."""
    where = [topic.encode(), b"0", b"5"]
    connect = [f"__connect.errors.{each}" for each in ("topic", "partition", "offset")]
    spring = [("topic", where[0]), ("partition", struct.pack(">i", 0)), ("offset", struct.pack(">q", 4))]
    letters = (
        [
            *((f"kafka_dlt-original-{name}", value) for name, value in spring),
            ("kafka_dlt-original-timestamp", struct.pack(">q", 1_795_649_824_000_000)),
            ("kafka_dlt-exception-fqcn", b"org.springframework.kafka.listener.ListenerExecutionFailedException"),
            ("kafka_dlt-exception-cause-fqcn", b"java.lang.IllegalStateException"),
            ("kafka_dlt-exception-stacktrace", b"java.lang.\n\tat a.b"),
        ],
        list(zip(connect, where, strict=True)),
        [(connect[0], where[0])],
    )
    for headers in letters:
        cluster.producer(name="p").send(DEAD, b"v", b"k", [("own", b"1"), *headers]).get(timeout=300)
    shown = lab("dead-letters", "list", DEAD)
    assert "IllegalStateException" in shown.stdout
    assert "1 records in it are no dead letters" in shown.stdout
    assert "one of Kafka Connect: it has no header __connect.errors.partition" in shown.stdout
    assert "1 dead letters" in lab("dead-letters", "list", DEAD, "--error", "java.lang.IllegalState").stdout
    spring, connect = (lab("dead-letters", "show", f"{DEAD}/0/{number}") for number in (4, 5))
    for said in ("unknown time (its timestamp, 1795649824000000, is not", "attempts unknown", "group        unknown"):
        assert said in spring.stdout
    assert "cause        java.lang.IllegalStateException" in spring.stdout
    assert "error        unknown\n" in connect.stdout
    assert "6 sent" in lab("dead-letters", "redrive", DEAD, "--yes").stdout
    *_, first, second = log.read(cluster, topic).records
    assert [[name for name, _ in each.headers] for each in (first, second)] == [["own", "redrive_origin"]] * 2
