"""Breaking things on purpose: a broker frozen, a process killed at a point that its code names."""

import os
import signal
import threading
import time

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from labsupport import faults, lesson, reading
from labsupport.broker import processes
from labsupport.broker.cluster import private
from labsupport.broker.embedded import known_brokers
from labsupport.errors import LabError
from labsupport.experiments.breaking import python_process
from labsupport.waiting import until


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("98")


@pytest.fixture(scope="module")
def kafka(runtime):
    """A broker that may be broken."""
    with private(settings=runtime.settings) as cluster:
        yield cluster


def service(kafka, at, topic, group, commits):
    """Processes, commits `commits` more than the record's offset, and says where it is."""
    settings = {"group_instance_id": "A", "auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = kafka.consumer(topic, name="A", group_id=group, **settings)
    for record in reading.to_the_end(consumer):
        print(record.value.decode())
        at("processed")
        place = TopicPartition(record.topic, record.partition)
        if commits is not None:
            consumer.commit({place: OffsetAndMetadata(record.offset + commits, "", -1)})
        at("committed")


def dies(kafka, at):
    """As if somebody else had killed it."""
    os.kill(os.getpid(), signal.SIGKILL)


def six(lab):
    """A topic with the values 0 to 5."""
    topic = lab.topic("six")
    producer = lab.producer(name="six")
    for number in range(6):
        producer.send(topic, b"%d" % number)
    producer.flush(timeout=10)
    return topic


def test_a_frozen_broker_answers_nobody_and_then_goes_on(kafka):
    """What was sent meanwhile arrives; also when the body raises, and when the broker was killed in it."""
    topic = kafka.create_topic("98-frozen")
    producer = kafka.producer(name="p")
    producer.send(topic, b"before").get(timeout=10)
    with faults.paused(kafka.broker(1)):
        sending = producer.send(topic, b"meanwhile")
        with pytest.raises(KafkaTimeoutError):
            sending.get(timeout=0.5)
    assert sending.get(timeout=10).offset == 1
    with faults.paused(kafka.broker(1)):
        kafka.broker(1).kill()
    assert kafka.broker(1).state == "running"
    assert kafka.topics("98-") == [topic]


@pytest.mark.parametrize(("fault", "state"), [(faults.stopped, "stopped"), (faults.paused, "paused")])
def test_a_broker_is_back_after_the_body_whatever_happened_in_it(kafka, fault, state):
    """Inside nothing answers; afterwards it answers again, also when the body raised."""
    broker = kafka.broker(1)
    with pytest.raises(ZeroDivisionError), fault(broker):
        assert broker.state == state
        assert known_brokers(broker.port) == set()
        raise ZeroDivisionError
    assert broker.state == "running"
    assert known_brokers(broker.port) == {1}


@pytest.mark.parametrize(("commits", "again"), [(None, "012345"), (0, "2345"), (1, "345")])
def test_a_service_that_was_killed_goes_on_where_it_had_committed(lab, commits, again):
    """Killed when it had committed the third: nothing, the offset itself, the next one."""
    topic, group = six(lab), lab.group(f"killed-{commits}")
    first = faults.run(lab, service, topic, group, commits, kill_at="committed", nth=3)
    assert (first.lines, first.killed_at) == (("0", "1", "2"), "committed")
    assert repr(first).endswith("killed at 'committed'")
    second = faults.run(lab, service, topic, group, commits)
    assert "".join(second.lines) == again
    assert repr(second).endswith("ended")


def test_killed_before_the_commit_the_record_comes_twice(lab):
    """At most that one: process first, then commit."""
    topic, group = six(lab), lab.group("between")
    first = faults.run(lab, service, topic, group, 1, kill_at="processed", nth=3)
    second = faults.run(lab, service, topic, group, 1)
    assert "".join(first.lines + second.lines) == "0122345"


def test_a_killed_service_tidies_nothing_up(lab):
    """No `finally`, no exit handler: as kill -9."""

    def tidy(kafka, at):
        try:
            at("here")
        finally:
            print("tidied up")

    assert faults.run(lab, tidy, kill_at="here").lines == ()
    assert faults.run(lab, tidy).lines == ("tidied up",)


def test_a_service_that_somebody_else_kills_is_told(lab):
    """Its code is not blamed."""
    with pytest.raises(LabError, match=r"dies was killed \(signal 9\)"):
        faults.run(lab, dies, kill_at="here")


def test_a_point_that_is_never_reached_is_said(lab):
    """A misspelt name must not look like a service that survived."""
    with pytest.raises(LabError) as caught:
        faults.run(lab, lambda kafka, at: at("processed"), kill_at="procesed")
    assert "'processed' 1 times" in caught.value.seen
    assert "misspelt" in caught.value.next_step
    with pytest.raises(LabError, match="nth is 0"):
        faults.run(lab, lambda kafka, at: None, kill_at="x", nth=0)


def test_a_service_that_raises_shows_its_error(lab):
    """The end of its stack, and no stack of the lab's."""
    with pytest.raises(LabError) as caught:
        faults.run(lab, lambda kafka, at: 1 / 0)
    assert "ZeroDivisionError" in caught.value.seen


def test_what_cannot_be_sent_is_said_before_anything_runs(lab):
    """A lesson has sockets and threads."""
    with pytest.raises(LabError) as caught:
        faults.run(lab, lambda kafka, at: lab.topics())
    assert "cannot run in a process of its own" in caught.value.tried
    assert "not `lab`" in caught.value.next_step


def test_a_program_that_does_not_end_is_ended(lab, settings):
    """After its deadline, with what it had printed; nothing of it runs on."""

    def loops():
        print("still here")
        while True:
            time.sleep(1)

    with pytest.raises(LabError) as caught:
        python_process.run(loops, timeout=2)
    assert "still here" in caught.value.seen
    assert not processes.running(settings, ["program"])


def test_an_interrupted_notebook_takes_its_program_along(own_home):
    """Ctrl-C, or Kernel, Interrupt."""
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        python_process.run(time.sleep, 60)
    assert not processes.running(own_home, ["program"])


def test_a_killed_kernels_program_ends_and_its_folder_goes(own_home, kernel):
    """Nobody waits for it any more."""
    dead = kernel()
    dead.client.execute(
        "import time; from labsupport.experiments.breaking import python_process; python_process.run(time.sleep, 300)"
    )
    until(lambda: processes.running(own_home, ["program"]), 30, "the program to run")
    assert [*(own_home.home / "private").glob("*/call")]
    dead.kill()
    until(lambda: not processes.running(own_home, ["program"]), 60, "the program to end")
    until(lambda: not [*(own_home.home / "private").iterdir()], 60, "its folder to go")


def test_a_program_returns_what_its_function_returns(own_home):
    """A value, an exit code, and what it printed, in its own process."""
    ended = python_process.run(lambda: print("hello") or os.getpid())
    assert ended.exit_code == 0
    assert ended.printed == "hello\n"
    assert ended.returned != os.getpid()
