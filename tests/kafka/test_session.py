"""Opening a lesson, in this process and in real kernels that are killed and interrupted."""

import logging
import re

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.net.selector import NetworkSelector

from labsupport import lesson, reading
from labsupport.broker import background, processes
from labsupport.broker.cluster import connect
from labsupport.course import session
from labsupport.course.lab import WITH_PRIVATE_BROKERS
from labsupport.errors import LabError
from labsupport.settings import CHECKOUT
from labsupport.waiting import until


@pytest.fixture(autouse=True)
def closed():
    """Whatever lesson a test opened is closed."""
    yield
    session.close()


def test_a_lesson_opens_with_one_line_and_empty_topics(settings, capsys):
    """Kafka runs, and what an earlier run left is gone; other lessons' topics stay. Opened again, it says so."""
    with connect(settings) as cluster:
        cluster.create_topic("94-old")
        cluster.create_topic("95-other")
    opened = lesson("94")
    ready = (
        r"Lesson 94 is ready: Apache Kafka [\d.]+ is running on this computer, and this lesson's topics are empty\. "
    )
    assert re.fullmatch(ready + r"Go on with the next cell\.\n", capsys.readouterr().out)
    assert opened.topics("94-") == []
    assert "95-other" in opened.topics()
    assert opened.topic("orders", 3) == "94-orders"
    assert opened.group("readers") == "94-readers"
    lesson("94")
    assert re.fullmatch(ready + r"Run your episode again from its first cell\.\n", capsys.readouterr().out)


@pytest.mark.parametrize("number", ["5", "", "abc", "005", None, 5])
def test_a_lesson_is_named_by_two_digits(number):
    """Anything else is refused with an example."""
    with pytest.raises(LabError, match='give its two digits, such as lesson\\("00"\\)'):
        lesson(number)


def test_the_setup_cell_run_again_closes_what_it_made_before():
    """The first lesson's consumer has left its group, and the group is gone."""
    first = lesson("94")
    topic = first.topic("orders")
    consumer = first.consumer(topic, name="A", group_id=first.group("g"), auto_offset_reset="earliest")
    reading.join(consumer)
    second = lesson("94")
    assert consumer._closed
    assert second.groups("94-") == []


def test_a_lesson_that_is_opened_in_a_second_kernel_says_so_in_both(kernel):
    """The second empties the first one's topics: what the first does then fails, with the reason below the error."""
    session.close()
    first, second = kernel(), kernel()
    opened = first.run(
        'from labsupport import lesson; lab = lesson("94"); orders = lab.topic("orders")\n'
        'producer = lab.producer(name="P", max_block_ms=500); producer.send(orders, b"x").get(timeout=60)'
    )
    assert "another kernel" not in opened
    assert "was open in another kernel" in second.run('from labsupport import lesson; lab = lesson("94")')
    late = first.run('producer.send("94-none", b"x").get(timeout=60)')
    assert "KafkaTimeoutError" in late
    assert "What it means: this lesson was opened in another kernel" in late
    refused = first.run('lab.consumer(orders, name="C")')
    assert "this lesson was opened in another kernel" in refused
    assert "run the first code cell of this lesson here again" in refused
    assert "was open in another kernel" in first.run('lab = lesson("94")')
    assert "empty" in first.run('lab.consumer(lab.topic("orders"), name="C").poll(100) or print("empty")')
    second.kill()
    assert "another kernel" not in first.run('lab = lesson("94")')


def test_a_killed_kernels_members_are_removed(kernel):
    """The next `lesson()` finds the group empty at once and does not wait for a session to time out."""
    dead = kernel()
    printed = dead.run(
        'from labsupport import lesson, reading; lab = lesson("94"); orders = lab.topic("orders")\n'
        'c = lab.consumer(orders, name="A", group_id=lab.group("g"), auto_offset_reset="earliest")\n'
        "reading.join(c); print(lab.admin().describe_groups([lab.group('g')])['94-g']['group_state'])"
    )
    assert "Stable" in printed
    dead.kill()
    opened = lesson("94")
    assert opened.groups("94-") == []
    topic = opened.topic("orders")
    opened.producer(name="P").send(topic, b"for the living").get(timeout=300)
    consumer = opened.consumer(topic, name="A", group_id=opened.group("g"), auto_offset_reset="earliest")
    ((record,),) = until(lambda: consumer.poll(timeout_ms=500), 300, "the record").values()
    assert record.value == b"for the living"


def test_a_killed_kernels_private_brokers_end_and_their_folders_go(kernel, elsewhere):
    """Without a next lesson, and without `down`."""
    dead = kernel()
    dead.run("from labsupport.broker.cluster import private; p = private(); kafka = p.__enter__()")
    assert ahead(elsewhere)
    dead.kill()
    until(lambda: not processes.running(elsewhere, ["private"]), 300, "the broker to end", every=0.1)
    until(lambda: not list((elsewhere.home / "private").iterdir()), 300, "its folder to go")


def ahead(settings):
    """The private brokers, as soon as there is one: a process that has just begun has no command line yet."""
    return until(lambda: processes.running(settings, ["private"]), 300, "a broker that is started ahead")


def test_a_lesson_with_private_brokers_has_one_started_ahead(elsewhere):
    """The first `private()` takes it, the next one is started then; one that has died meanwhile does not matter."""
    opened = lesson("03")
    (spare,) = ahead(elsewhere)
    with opened.private() as kafka:
        assert kafka.broker(1).process.pid == spare.process.pid
        assert kafka.topics() == []
    (following,) = ahead(elsewhere)
    assert following.process.pid != spare.process.pid
    following.process.kill()
    with opened.private() as kafka:
        assert kafka.topics() == []
    session.close()
    assert not processes.running(elsewhere, ["private"])
    assert not list((elsewhere.home / "private").iterdir())


def test_no_broker_is_started_ahead_of_a_call_that_it_does_not_fit(elsewhere, monkeypatch):
    """Not for one with other settings; nor if little memory is free, or in a lesson without private brokers."""
    opened = lesson("03")
    (spare,) = ahead(elsewhere)
    with opened.private(log_cleaner_backoff_ms="200") as kafka:
        assert kafka.broker(1).process.pid != spare.process.pid
    lesson("94")
    assert not processes.running(elsewhere, ["private"])
    monkeypatch.setattr(background, "SPARE_NEEDS", 1e18)
    lesson("03")
    assert not processes.running(elsewhere, ["private"])


def test_a_killed_kernels_spare_broker_ends(kernel, elsewhere):
    """Nobody has taken it yet."""
    dead = kernel()
    dead.run('from labsupport import lesson; lab = lesson("03")')
    assert ahead(elsewhere)
    dead.kill()
    until(lambda: not processes.running(elsewhere, ["private"]), 300, "the broker to end", every=0.1)


def test_the_lessons_with_private_brokers_are_known():
    """Those whose cells say `lab.private()`, without settings."""
    said = {path.name[:2] for path in (CHECKOUT / "notebooks").glob("*.ipynb") if "lab.private()" in path.read_text()}
    assert said == set(WITH_PRIVATE_BROKERS)


def test_a_broker_killed_under_a_notebook_comes_back_with_the_next_lesson(elsewhere, kernel):
    """The kernel lives, its first cell works again, and other lessons' records are there."""
    notebook = kernel()
    notebook.run(
        'from labsupport import lesson; lab = lesson("95"); kept = lab.topic("kept")\n'
        'lab.producer(name="P").send(kept, b"kept").get(timeout=60)\nlab = lesson("94")'
    )
    (broker,) = processes.running(elsewhere)[:1]
    broker.process.kill()
    assert not broker.process.alive
    assert "is ready" in notebook.run('lab = lesson("94")')
    printed = notebook.run('print(next(lab.consumer("95-kept", name="A", auto_offset_reset="earliest")).value)')
    assert "b'kept'" in printed


def test_python_runs_as_in_a_terminal_and_is_killed_with_its_cell(kernel, settings):
    """What it prints can be read; it outlives neither the `with` nor a killed kernel."""
    one = kernel()
    one.run('from labsupport import lesson, until; lab = lesson("98")')
    one.run("words = ['-c', 'import time; print(1, flush=True); time.sleep(600)']")
    alive = """
with lab.python(*words) as running:
    until(lambda: "1" in running.printed, 20, "it")
    print("alive:", running.process.alive)
print("alive:", running.process.alive)
"""
    assert one.run(alive).split() == ["alive:", "True", "alive:", "False"]
    one.begin('with lab.python(*words): print("there", flush=True); import time; time.sleep(600)', "there")
    one.kill()
    until(lambda: not processes.running(settings, ["program"]), 300, "it to end", every=0.1)


def test_an_interrupted_cell_leaves_a_kernel_that_works(kernel):
    """Interrupt while a consumer waits: the kernel lives, and the first cell can be run again."""
    notebook = kernel()
    notebook.run('from labsupport import lesson; lab = lesson("94"); orders = lab.topic("orders")')
    cell = 'print("waiting"); next(lab.consumer(orders, name="A", consumer_timeout_ms=60_000))'
    assert notebook.interrupt(notebook.begin(cell, "waiting"))["ename"] == "KeyboardInterrupt"
    assert "is ready" in notebook.run('lab = lesson("94")')


def test_an_error_in_a_cell_is_a_sentence_and_not_a_stack(kernel, monkeypatch):
    """What the learner sees begins with what was tried and ends with the next step."""
    monkeypatch.setenv("LAB_KAFKA", "127.0.0.1:1")
    printed = kernel().run('from labsupport import lesson; lesson("94")')
    assert printed.startswith("LabError: Could not reach Kafka")
    assert "Traceback" not in printed
    assert "next: start that Kafka" in printed


def test_the_clients_warnings_are_kept_and_not_printed(kernel):
    """A misspelt setting value that the client only warns of; `lab.warnings()` shows it."""
    notebook = kernel()
    notebook.run('from labsupport import lesson; lab = lesson("94"); orders = lab.topic("orders")')
    assert "has not issued any warnings" in notebook.run("lab.warnings()")
    assert notebook.run('c = lab.consumer(orders, name="A", auto_offset_reset="earlyest")') == ""
    assert "Unrecognized offset_reset_strategy" in notebook.run("lab.warnings()")
    assert "Unrecognized offset_reset_strategy" in notebook.run('lab.warnings("offset_reset")')
    assert "has not issued any such warnings" in notebook.run('lab.warnings("poll timeout")')


def test_a_client_whose_thread_was_slow_for_a_moment_warns_of_nothing(monkeypatch):
    """It says something about this machine only; what else the same logger says is kept."""
    opened = lesson("94")
    monkeypatch.setattr(session._warnings, "seen", {})
    monkeypatch.setitem(NetworkSelector.DEFAULT_CONFIG, "slow_task_threshold_secs", 1e-9)
    slow = KafkaConsumer(bootstrap_servers=opened.bootstrap, enable_auto_commit=False)
    slow.topics()
    slow.close()
    assert not [line for line in session._warnings.seen if "ran for" in line]
    logging.getLogger("kafka.net.selector").warning("Task %s left RUNNING after step", 1)
    assert list(session._warnings.seen) == ["WARNING kafka.net.selector: Task 1 left RUNNING after step"]


def test_ten_lines_of_plain_kafka_python_work_with_the_address_alone():
    """The lab hides nothing: its address is all that a program needs."""
    opened = lesson("94")
    topic = opened.topic("orders")
    producer = KafkaProducer(bootstrap_servers=opened.bootstrap)
    producer.send(topic, b"plain").get(timeout=300)
    producer.close(timeout=10)
    consumer = KafkaConsumer(topic, bootstrap_servers=opened.bootstrap, auto_offset_reset="earliest")
    assert next(consumer).value == b"plain"
    consumer.close()
