"""Fault injection: a frozen broker, a process killed at a point that its code names."""

import os
import signal
import sys
import threading
import time

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from labsupport import faults, learner_file, lesson, reading
from labsupport.broker import processes
from labsupport.broker.cluster import private
from labsupport.broker.embedded import known_brokers
from labsupport.errors import LabError
from labsupport.experiments.breaking import forkserver, python_process
from labsupport.experiments.watching import log
from labsupport.waiting import until


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("98")


@pytest.fixture(scope="module")
def kafka(runtime):
    """A private cluster, for the faults."""
    with private(settings=runtime.settings) as cluster:
        yield cluster


def service(kafka, at, topic, group, commits):
    """Processes each record, commits its offset + `commits`, and names two points."""
    settings = {"group_instance_id": "A", "auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = kafka.consumer(topic, name="A", group_id=group, **settings)
    for record in reading.to_the_end(consumer):
        print(record.value.decode())
        at("processed")
        partition = TopicPartition(record.topic, record.partition)
        if commits is not None:
            consumer.commit({partition: OffsetAndMetadata(record.offset + commits, "", -1)})
        at("committed")


def dies(kafka, at):
    """As if another program had killed it."""
    os.kill(os.getpid(), signal.SIGKILL)


def six(lab):
    """A topic with the values 0 to 5."""
    topic = lab.topic("six")
    producer = lab.producer(name="six")
    for number in range(6):
        producer.send(topic, b"%d" % number)
    producer.flush(timeout=300)
    return topic


def test_a_frozen_broker_does_not_answer_and_then_continues(kafka):
    """A record sent meanwhile arrives. A broker that was killed meanwhile runs again."""
    topic = kafka.create_topic("98-frozen")
    producer = kafka.producer(name="p")
    producer.send(topic, b"before").get(timeout=300)
    with faults.paused(kafka.broker(1)):
        sending = producer.send(topic, b"meanwhile")
        with pytest.raises(KafkaTimeoutError):
            sending.get(timeout=0.5)
    assert sending.get(timeout=300).offset == 1
    with faults.paused(kafka.broker(1)):
        kafka.broker(1).kill()
    assert kafka.broker(1).state == "running"
    assert kafka.topics("98-") == [topic]


@pytest.mark.parametrize(("idempotent", "times"), [(False, 2), (True, 1)])
def test_a_connected_producer_sends_to_a_frozen_broker_and_then_again(kafka, idempotent, times):
    """Connecting stores nothing in the topic; both attempts reach the broker, and idempotence removes the second."""
    topic = kafka.create_topic("98-connected")
    settings = {"enable_idempotence": idempotent, "request_timeout_ms": 1_000}
    producer = faults.connected(kafka, topic, name="p", **settings)
    assert kafka.topics("98-connected") == [topic, f"{topic}-hello"]
    with faults.paused(kafka.broker(1)):
        producer.send(topic, b"1")
        faults.until_retried(producer)
    producer.flush(timeout=300)
    assert [record.value for record in log.read(kafka, topic).records] == [b"1"] * times
    kafka.delete_topics([topic, f"{topic}-hello"])


@pytest.mark.parametrize(("fault", "state"), [(faults.stopped, "stopped"), (faults.paused, "paused")])
def test_a_broker_is_back_after_the_body_whatever_happened_in_it(kafka, fault, state):
    """In the body the broker does not answer; afterwards it does, although the body raised."""
    broker = kafka.broker(1)
    with pytest.raises(ZeroDivisionError), fault(broker):
        assert broker.state == state
        assert known_brokers(broker.port) == set()
        raise ZeroDivisionError
    assert broker.state == "running"
    until(lambda: known_brokers(broker.port) == {1}, 300, "an answer")  # it is asked for a second only


@pytest.mark.parametrize(("commits", "again"), [(None, "012345"), (0, "2345"), (1, "345")])
def test_a_killed_service_continues_at_its_committed_offset(lab, commits, again):
    """Killed after its third commit: of nothing, of the offset itself, of the next offset."""
    topic, group = six(lab), lab.group(f"killed-{commits}")
    first = faults.run(lab, service, topic, group, commits, kill_at="committed", nth=3)
    assert (first.lines, first.killed_at) == (("0", "1", "2"), "committed")
    assert repr(first).endswith("killed at 'committed'")
    second = faults.run(lab, service, topic, group, commits)
    assert "".join(second.lines) == again
    assert repr(second).endswith("ended")


def test_killed_before_the_commit_the_record_comes_twice(lab):
    """Only that one: process first, then commit."""
    topic, group = six(lab), lab.group("between")
    first = faults.run(lab, service, topic, group, 1, kill_at="processed", nth=3)
    second = faults.run(lab, service, topic, group, 1)
    assert "".join(first.lines + second.lines) == "0122345"


def test_a_killed_service_cleans_nothing_up(lab):
    """As with kill -9: no `finally`, no exit handler."""

    def tidy(kafka, at):
        try:
            at("here")
        finally:
            print("tidied up")

    assert faults.run(lab, tidy, kill_at="here").lines == ()
    assert faults.run(lab, tidy).lines == ("tidied up",)


def test_a_service_that_another_program_kills_is_an_error(lab):
    """The error does not blame its code."""
    with pytest.raises(LabError, match=r"dies was killed \(signal 9\)"):
        faults.run(lab, dies, kill_at="here")


def test_a_point_that_is_never_reached_is_an_error(lab):
    """A misspelt name must not look like a service that survived."""
    with pytest.raises(LabError) as caught:
        faults.run(lab, lambda kafka, at: at("processed"), kill_at="procesed")
    assert "'processed' 1 times" in caught.value.seen
    assert "misspelt" in caught.value.next_step
    with pytest.raises(LabError, match="nth is 0"):
        faults.run(lab, lambda kafka, at: None, kill_at="x", nth=0)


def test_a_service_that_raises_shows_its_error(lab):
    """The end of its traceback, without the lab's own."""
    with pytest.raises(LabError) as caught:
        faults.run(lab, lambda kafka, at: 1 / 0)
    assert "ZeroDivisionError" in caught.value.seen


def test_what_cannot_be_pickled_is_an_error_before_anything_runs(lab):
    """A lesson has sockets and threads."""
    with pytest.raises(LabError) as caught:
        faults.run(lab, lambda kafka, at: lab.topics())
    assert "cannot be taken into another process" in caught.value.tried
    assert "`lab`, a Lesson" in caught.value.seen
    assert "not `lab`" in caught.value.next_step


def test_a_function_that_does_not_end_is_killed(lab):
    """After the timeout; the error shows its output, and no process stays."""

    def loops():
        print("still here")
        while True:
            time.sleep(1)

    with python_process.start(loops) as child:
        until(lambda: "still here" in child.printed, 300, "the function to begin")
        with pytest.raises(LabError) as caught:
            child.wait(timeout=0.1)
    assert "still here" in caught.value.seen
    assert not child.process.alive


def test_an_interrupt_ends_the_child_process(own_home):
    """Ctrl-C, or Kernel, Interrupt."""
    forkserver.close_shared()  # which other tests have used
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        python_process.run(time.sleep, 60)
    assert not processes.running(own_home, ["program"])


def test_the_child_of_a_killed_kernel_ends_and_its_folder_is_deleted(own_home, kernel):
    """Nothing waits for it any more."""
    forkserver.close_shared()  # which other tests have used
    dead = kernel()
    dead.client.execute(
        "import time; from labsupport.experiments.breaking import python_process; python_process.run(time.sleep, 300)"
    )
    until(lambda: processes.running(own_home, ["program"]), 300, "the program to run", every=0.1)
    assert [*(own_home.home / "private").glob("*/call")]
    dead.kill()
    until(lambda: not processes.running(own_home, ["program"]), 300, "the program to end", every=0.1)
    until(lambda: not [*(own_home.home / "private").iterdir()], 300, "its folder to go")


def test_a_child_process_returns_what_its_function_returns(own_home):
    """A value, an exit code and the output, from another process."""
    completed = python_process.run(lambda: print("hello") or os.getpid())
    assert completed.exit_code == 0
    assert completed.printed == "hello\n"
    assert completed.returned != os.getpid()


@pytest.mark.parametrize("name", ["answer.py", "random.py", "answer.v2.py"])
def test_a_learners_file_reaches_a_child_process_with_what_lies_beside_it(own_home, tmp_path, monkeypatch, name):
    """Whatever its name is. The file does not run again: its top may open a lesson."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beside_it.py").write_text("VAT = 19\n")
    file = tmp_path / name
    file.write_text("import beside_it\nprint('runs')\ndef handle():\n    return beside_it.VAT\n")
    module = learner_file.load(file)
    completed = python_process.run(module.handle)
    del sys.modules["beside_it"], sys.modules[module.__name__]
    assert (completed.returned, completed.printed) == (19, "")
