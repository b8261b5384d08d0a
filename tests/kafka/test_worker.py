"""The worker: what it commits when things go wrong, on a real broker."""

import sqlite3
import threading
from contextlib import closing

import pytest
from kafka import TopicPartition
from kafka.errors import FencedInstanceIdError

from labsupport import ErrorHandler, dead_letter, faults, inbox, lesson, orders, publish, reading, story, strategies
from labsupport.broker.cluster import private
from labsupport.delivery.worker import Worker
from labsupport.errors import LabError, PermanentError
from labsupport.experiments.watching import log
from labsupport.shop.event import Event
from labsupport.waiting import until

SETTINGS = {"auto_offset_reset": "earliest", "enable_auto_commit": False}


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("91")


def topic_of(lab, events):
    """An empty topic with these events."""
    topic = lab.topic("orders")
    publish.publish(lab.producer(name="shop"), topic, events)
    return topic


def consumer(lab, topic, group="worker", name="A", **settings):
    """A consumer of that topic in a group of this lesson."""
    return lab.consumer(topic, name=name, group_id=lab.group(group), **SETTINGS | settings)


def fresh(lab, group="worker"):
    """The group's name, without an earlier test's offsets."""
    name = lab.group(group)
    lab.delete_groups([name])
    return name


def committed(lab, topic, group="worker"):
    """The next offset that the group will read; None if nothing is committed."""
    return log.committed(lab, topic, lab.group(group)).get(0)


def test_it_works_off_everything_and_commits_once_for_a_poll(lab):
    """Each step is reported, in order."""
    topic, moments = topic_of(lab, story.events(3)), []
    fresh(lab)
    member = consumer(lab, topic)
    Worker(member, lambda record: None, hooks=[moments.append]).run(until=reading.at_the_end(member))
    assert committed(lab, topic) == 3
    steps = [moment.kind for moment in moments if moment.kind not in ("assigned", "revoked")]
    assert steps == ["handling", "handled"] * 3 + ["committing", "committed"]
    assert [moment.event_id for moment in moments if moment.kind == "handled"] == [e.event_id for e in story.events(3)]


@pytest.mark.parametrize("broken", ["decode", "handle"])
def test_an_error_comes_out_and_everything_before_it_is_committed(lab, broken):
    """The record itself is not: it is redelivered."""
    topic = topic_of(lab, story.events(5))
    fresh(lab)

    def raises_at_3(record):
        if getattr(record, "offset", None) == 3:
            raise ValueError("cannot process 3")
        return record

    member = consumer(lab, topic)
    worker = Worker(member, raises_at_3) if broken == "handle" else Worker(member, print, decode=raises_at_3)
    with pytest.raises(ValueError, match="cannot process 3"):
        worker.run()
    assert committed(lab, topic) == 3
    again = consumer(lab, topic)
    assert next(reading.to_the_end(again)).offset == 3


def test_what_a_handler_returns_does_not_matter(lab):
    """Nothing, False, an error as a value: it has come to its end."""
    topic = topic_of(lab, story.events(3))
    fresh(lab)
    answers = iter([None, False, ValueError("a value")])
    member = consumer(lab, topic)
    Worker(member, lambda record: next(answers)).run(until=reading.at_the_end(member))
    assert committed(lab, topic) == 3


def test_to_stop_ends_it_after_the_record_in_hand(lab):
    """From the handler itself, or from a signal: what is handled is committed, the rest is not begun."""
    topic = topic_of(lab, story.events(5))
    fresh(lab)
    handled = []

    def handle(record):
        handled.append(record.offset)
        if record.offset == 1:
            worker.stop()

    worker = Worker(consumer(lab, topic), handle)
    worker.run()
    assert handled == [0, 1]
    assert committed(lab, topic) == 2


def test_a_commit_without_an_answer_is_unknown_and_said_again(runtime):
    """The broker is frozen in the middle of it: nothing is lost, and the next commit settles it."""
    with private(settings=runtime.settings) as kafka:
        topic = kafka.create_topic("91-orders")
        publish.publish(kafka.producer(name="shop"), topic, story.events(2))
        member = kafka.consumer(topic, name="A", group_id="91-frozen", request_timeout_ms=1_000, **SETTINGS)
        moments, frozen = [], threading.Event()

        def freeze_once(moment):
            moments.append(moment.kind)
            if moment.kind == "committing" and not frozen.is_set():
                frozen.set()
                kafka.broker(1).pause()
            if moment.kind == "unanswered":
                kafka.broker(1).start()

        worker = Worker(member, lambda record: None, hooks=[freeze_once])
        worker.run(until=lambda: "committed" in moments)
        assert "unanswered" in moments
        assert moments.index("unanswered") < moments.index("committed")
        assert log.committed(kafka, topic, "91-frozen") == {0: 2}


def test_a_member_that_is_thrown_out_while_handling_does_not_commit(lab):
    """Others have its records now; it joins again and goes on."""
    topic, group = topic_of(lab, story.events(2)), fresh(lab)
    moments = []

    def evict_once(moment):
        moments.append(moment.kind)
        if moment.kind == "handled" and moments.count("handled") == 1:
            lab.evict(group)

    member = consumer(lab, topic, max_poll_records=1)
    Worker(member, lambda record: None, hooks=[evict_once]).run(until=lambda: moments.count("committed") == 2)
    assert "refused" in moments
    assert moments.count("handled") == 3  # the first one again
    assert committed(lab, topic) == 2


def test_thrown_out_in_the_middle_of_a_batch_it_leaves_the_rest_to_others(lab):
    """The client hears of it within a heartbeat; what it still holds of the batch is not touched."""
    topic, group = topic_of(lab, story.events(10)), fresh(lab)
    moments, batches = [], []
    member = consumer(lab, topic, heartbeat_interval_ms=100)

    def evicted_at_2(record):
        if record.offset == 2 and not batches:
            batches.append([moment.offset for moment in moments if moment.kind == "handling"])
            lab.evict(group)
            until(lambda: member.group_metadata().generation_id < 0, 300, "the client to hear of it")

    Worker(member, evicted_at_2, hooks=[moments.append]).run(until=lambda: committed(lab, topic) == 10)
    what = [(moment.kind, moment.offset) for moment in moments if moment.kind in ("handling", "refused", "lost")]
    assert batches == [[0, 1, 2]]
    assert [each for each, _ in what[:5]] == ["handling"] * 3 + ["refused", "lost"]
    assert [offset for each, offset in what if each == "handling"] == [0, 1, 2, *range(10)]


def test_a_record_that_is_somebody_elses_gets_no_dead_letter(lab):
    """It failed while the group evicted its member: the partition's new owner decides."""
    topic, group = topic_of(lab, story.events(3)), fresh(lab)
    dead, moments, thrown_out = lab.dead_letters(topic), [], []
    member = consumer(lab, topic, heartbeat_interval_ms=100)

    def fails_thrown_out(record):
        if record.offset == 1 and not thrown_out:
            thrown_out.append(record)
            lab.evict(group)
            until(lambda: member.group_metadata().generation_id < 0, 300, "the client to hear of it")
            raise PermanentError("no")

    error_handler = ErrorHandler(lab.producer(name="letters", **dead_letter.producer_settings()))
    worker = Worker(member, fails_thrown_out, hooks=[moments.append], error_handler=error_handler)
    worker.run(until=lambda: committed(lab, topic) == 3)
    assert "failed" in {moment.kind for moment in moments}
    assert log.read(lab, dead).records == ()


CANNOT_STAND_ON = {
    "auto-commit": ({"enable_auto_commit": True}, "commits by itself"),
    "the client's defaults": ({"enable_auto_commit": None}, "commits by itself"),
    "no group": ({"group_id": None}, "this consumer has none"),
    "no group, auto-commit": ({"group_id": None, "enable_auto_commit": True}, "this consumer has none"),
    "decodes values": ({"value_deserializer": bytes.decode}, "records as bytes"),
    "decodes keys": ({"key_deserializer": bytes.decode}, "records as bytes"),
}


@pytest.mark.parametrize("case", CANNOT_STAND_ON)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_a_worker_cannot_stand_on_is_refused_before_the_first_poll(lab, case):
    """Nothing is handled, nothing is committed."""
    settings, said = CANNOT_STAND_ON[case]
    topic = topic_of(lab, story.events(10))
    fresh(lab)
    settings = {"group_id": lab.group("worker"), **SETTINGS} | settings
    settings = {name: value for name, value in settings.items() if value is not None or name == "group_id"}
    handled = []
    with pytest.raises(LabError, match=said):
        Worker(lab.consumer(topic, name="A", **settings), handled.append).run(until=lambda: len(handled) >= 10)
    assert handled == []
    assert committed(lab, topic) is None


def after_some_polls():
    """For a worker that is refused before the first: should it not be, it ends."""
    return iter([False, False, True]).__next__


def test_a_consumer_without_topics_or_that_was_closed_is_refused_too(lab):
    """It would wait for ever, or fall over."""
    with pytest.raises(LabError, match="needs topics"):
        Worker(lab.consumer(name="A", group_id=lab.group("worker"), **SETTINGS), print).run(until=after_some_polls())
    closed = lab.consumer(topic_of(lab, []), name="A", group_id=lab.group("worker"), **SETTINGS)
    closed.close()
    with pytest.raises(LabError, match="was closed"):
        Worker(closed, print).run(until=after_some_polls())


@pytest.mark.parametrize("loop", [strategies.commit_first, strategies.commit_the_batch_first,
                                  strategies.process_then_commit, strategies.worker])  # fmt: skip
def test_every_loop_that_commits_asks_the_same(lab, loop):
    """One rule."""
    topic = topic_of(lab, story.events(3))
    member = lab.consumer(topic, name="A", group_id=lab.group("loops"), auto_offset_reset="earliest")
    with pytest.raises(LabError, match="commits by itself"):
        loop(member, print)


def test_committing_a_batch_first_commits_all_its_partitions(lab):
    """Not only the one that the last record lies in."""
    topic = lab.topic("orders", partitions=3)
    publish.publish(lab.producer(name="shop"), topic, story.events(30))
    fresh(lab)
    strategies.commit_the_batch_first(consumer(lab, topic), lambda record: None)
    assert log.committed(lab, topic, lab.group("worker")) == lab.log(topic).ends


def test_a_pattern_is_worked_off_with_what_appears_later(lab):
    """Records of several topics; another topic that fits, and more partitions of one, while it runs."""
    names = [lab.topic("some-a"), lab.topic("some-b", partitions=2)]
    fresh(lab)
    producer, moments, handled = lab.producer(name="shop"), [], []
    for number, name in enumerate(names):
        producer.send(name, b"%d" % number).get(timeout=300)
    member = lab.consumer(name="A", group_id=lab.group("worker"), metadata_max_age_ms=500, **SETTINGS)
    member.subscribe(pattern=f"^{lab.namespace}some-.*")

    def add_more():
        if handled == [*names] and len(names) == 2:
            names.append(lab.topic("some-c"))
            producer.send(names[2], b"2").get(timeout=300)
        return sorted(set(handled)) == sorted(names) and len(names) == 3

    def handle(record):
        if record.topic not in handled:
            handled.append(record.topic)
        handled.sort()

    Worker(member, handle, hooks=[moments.append]).run(until=add_more)
    assert {
        partition.topic for moment in moments if moment.kind == "assigned" for partition in moment.partitions
    } == set(names)
    for name in names:
        assert sum(log.committed(lab, name, lab.group("worker")).values()) == 1


def test_partitions_that_were_assigned_by_hand_are_worked_off(lab):
    """Nobody takes them away, and no listener hears of them."""
    topic = topic_of(lab, story.events(10))
    fresh(lab)
    member = lab.consumer(name="A", group_id=lab.group("worker"), **SETTINGS)
    member.assign([TopicPartition(topic, 0)])
    handled = []
    Worker(member, handled.append).run(until=reading.at_the_end(member))
    assert (len(handled), committed(lab, topic)) == (10, 10)


def test_of_two_workers_with_one_instance_id_the_first_stops_and_says_why(lab):
    """The broker takes the second for the first one come back; nothing that the first does counts."""
    topic = topic_of(lab, story.events(1))
    fresh(lab)
    first = consumer(lab, topic, name="first", group_instance_id="A")

    def second_comes(_record):
        second = consumer(lab, topic, name="second", group_instance_id="A")
        reading.join(second)

    with pytest.raises(FencedInstanceIdError):
        Worker(first, second_comes).run()
    assert committed(lab, topic) is None


def test_an_event_without_an_id_is_told_by_its_place(lab):
    """Bytes that are not an event: the handler decides, the worker only names the record."""
    topic, moments = lab.topic("orders"), []
    fresh(lab)
    lab.producer(name="shop").send(topic, b"not an event").get(timeout=300)
    member = consumer(lab, topic)
    Worker(member, lambda record: None, hooks=[moments.append]).run(until=reading.at_the_end(member))
    assert {moment.event_id for moment in moments if moment.kind == "handled"} == {f"{topic}-0-0"}


@pytest.mark.parametrize("trouble", ["locked", "full"])
def test_a_database_that_cannot_write_stops_the_worker_uncommitted(lab, trouble):
    """Another connection holds it, or its disk is full: the event waits, with neither mark nor effect."""
    topic, path = topic_of(lab, story.events(1)), lab.database("shop")
    fresh(lab)
    with closing(orders.database(path, patience=0.1)) as database, closing(sqlite3.connect(path)) as other:
        if trouble == "locked":
            other.execute("BEGIN IMMEDIATE")
        else:
            database.execute(f"PRAGMA max_page_count = {database.execute('PRAGMA page_count').fetchone()[0]}")

        def handle(event):
            wide = ("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "x" * 100_000, ""))
            inbox.once(database, event.event_id, lambda: database.execute(*wide))

        worker = Worker(consumer(lab, topic), handle, decode=lambda record: Event.decode(record.value))
        with pytest.raises(sqlite3.OperationalError, match=trouble):
            worker.run()
        other.rollback()
    sheet = lab.balance(topic, lab.group("worker"), path)
    assert (sheet.count("waiting"), sheet.count("processed")) == (1, 0)


def hangs(kafka, at, topic, group):
    """A service whose handler never comes back."""
    member = kafka.consumer(topic, name="A", group_id=group, **SETTINGS)
    Worker(member, lambda record: at("stuck") or threading.Event().wait()).run()


def prints_and_dies(kafka, at, topic, group):
    """A service whose handler ends the process."""
    import os

    member = kafka.consumer(topic, name="A", group_id=group, **SETTINGS)

    def handle(record):
        print("I was here")
        at("printed")
        os._exit(3)

    Worker(member, handle).run()


def test_a_handler_that_hangs_or_ends_the_process_loses_nothing(lab):
    """Killed from outside, or by itself: the event is handed out again."""
    topic, group = topic_of(lab, story.events(1)), fresh(lab)
    assert faults.run(lab, hangs, topic, group, kill_at="stuck").killed_at == "stuck"
    lab.evict(group)
    with pytest.raises(Exception, match="raised") as caught:
        faults.run(lab, prints_and_dies, topic, group)
    assert "I was here" in caught.value.seen
    lab.evict(group)
    assert committed(lab, topic) is None
    assert [record.offset for record in reading.to_the_end(consumer(lab, topic))] == [0]
