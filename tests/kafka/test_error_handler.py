"""Retries, dead letters and outages on a real broker: nobody stands still, nothing is lost, nobody is thrown out."""

import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from labsupport import lesson, publish, reading, story
from labsupport.broker.cluster import private
from labsupport.delivery import dead_letter
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.retry import DEAD_LETTER, PAUSE, STOP, Policy
from labsupport.delivery.worker import Worker
from labsupport.errors import DeadLetterError, LabError, PermanentError, TransientError
from labsupport.experiments.watching import log
from labsupport.shop.event import Event
from labsupport.waiting import until

IMPATIENT = {"max_block_ms": 1_000, "delivery_timeout_ms": 3_000, "request_timeout_ms": 1_000}
QUICK = Policy(attempts=4, wait_initial=0.02, wait_max=0.08, timeout=60)
READS = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "session_timeout_ms": 6_000}


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("97")


def filled(lab, events, partitions=3, dead_letters=True):
    """A topic with these events, and an empty one for its dead letters."""
    topic = lab.create_topic("97-orders", partitions)
    if dead_letters:
        lab.create_topic(dead_letter.topic_of(topic), partitions, **dead_letter.topic_settings())
    publish.publish(lab.producer(name="shop"), topic, events)
    return topic


def decode(record):
    """What the workers here are handed."""
    return Event.decode(record.value)


def work(
    lab,
    topic,
    group,
    handle,
    *,
    policy=QUICK,
    patience=10.0,
    until=None,
    hooks=(),
    decode=decode,
    writes=None,
    **settings,
):
    """Run a worker to the end of the topic, with dead letters; returns what it told."""
    moments = []
    consumer = lab.consumer(topic, name="A", group_id=group, **READS | settings)
    producer = lab.producer(name="dead-letters", **dead_letter.producer_settings() | (writes or {}))
    error_handler = ErrorHandler(producer, policy)
    worker = Worker(consumer, handle, decode=decode, hooks=[moments.append, *hooks], error_handler=error_handler)
    try:
        worker.run(until=until or reading.at_the_end(consumer, patience))
    finally:
        lab.close_client("A")
        lab.close_client("dead-letters")
    return moments


def told(moments, what):
    """Those of that kind."""
    return [moment for moment in moments if moment.kind == what]


class Failing:
    """A handler that fails for some events, so many times each; it keeps what it has done."""

    def __init__(self, error, times, *chosen):
        self.error, self.left, self.done = error, {event.event_id: times for event in chosen}, []

    def __call__(self, event):
        if self.left.get(event.event_id, 0) > 0:
            self.left[event.event_id] -= 1
            raise self.error
        self.done.append(event.event_id)


def test_a_lesson_makes_the_topic_for_dead_letters(lab):
    """As many partitions, ten times as large records, kept for ever; empty each time."""
    topic = lab.topic("large", partitions=2, max_message_bytes=2_000)
    name = lab.dead_letters(topic)
    lab.producer(name="p").send(name, b"x").get(timeout=300)
    assert lab.dead_letters(topic) == name == "97-large-dlt"
    assert lab.log(name).ends == {0: 0, 1: 0}
    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    settings = lab.admin().describe_configs([resource])["topic"][name]
    assert (settings["max.message.bytes"]["value"], settings["retention.ms"]["value"]) == ("20000", "-1")


@pytest.mark.parametrize("times", [1, 2, 3])
def test_so_many_transient_failures_are_so_many_retries(lab, times):
    """Exactly; the waits lie within their bounds; the group has not rebalanced; each event is processed once."""
    events = story.events(30, seed=1)
    topic, group, handle = filled(lab, events), lab.group("k"), Failing(TransientError("busy"), times, events[7])
    moments = work(lab, topic, group, handle)
    retries = told(moments, "retrying")
    assert [moment.event_id for moment in retries] == [events[7].event_id] * times
    for attempt, moment in enumerate(retries, start=1):
        assert QUICK.longest(attempt) * (1 - QUICK.wait_jitter) <= moment.seconds <= QUICK.longest(attempt)
    assert len(told(moments, "failed")) == times
    assert len(told(moments, "assigned")) == 1
    assert not told(moments, "dead-lettered") + told(moments, "paused")
    assert sorted(handle.done) == sorted(event.event_id for event in events)
    assert lab.lag(topic, group).total == 0


def test_waiting_longer_than_the_poll_interval_keeps_the_member_in_its_group(lab):
    """It polls while it waits; other partitions are worked on, and nothing behind in its own overtakes."""
    events = story.events(40, seed=2)
    topic, group = filled(lab, events), lab.group("waits")
    records = log.read(lab, topic).records
    first = next(record for record in records if record.partition == 1)
    handle = Failing(TransientError("busy"), 1, decode(first))
    patient = Policy(attempts=2, wait_initial=8, wait_max=8, wait_jitter=0)
    moments = work(
        lab, topic, group, handle, policy=patient,
        max_poll_interval_ms=6_000, session_timeout_ms=6_000, heartbeat_interval_ms=200, max_poll_records=5,
    )  # fmt: skip
    (waiting,) = told(moments, "retrying")
    assert waiting.seconds == 8
    assert len(told(moments, "assigned")) == 1
    assert not told(moments, "lost") + told(moments, "refused")
    mine = [moment for moment in told(moments, "handled") if moment.partitions == waiting.partitions]
    others = [moment for moment in told(moments, "handled") if moment.partitions != waiting.partitions]
    assert mine[0].time > max(moment.time for moment in others)
    assert [moment.offset for moment in mine] == list(range(len(mine)))


def test_a_dead_letter_is_there_before_the_offset_moves(lab):
    """Looked at in the very moment: the record is in the dead letter topic, and not yet committed."""
    events = story.events(30, seed=3)
    topic, group = filled(lab, events), lab.group("before")
    seen = []

    def look(moment):
        if moment.kind == "dead-lettered":
            (letter,) = log.read(lab, dead_letter.topic_of(topic)).records
            seen.append((letter.partition, log.committed(lab, topic, group).get(moment.partitions[0].partition, 0)))
            assert dead_letter.unwrap(letter).coordinates == f"{topic}/{moment.partitions[0].partition}/{moment.offset}"
            assert seen[-1] == (moment.partitions[0].partition, min(seen[-1][1], moment.offset))

    handle = Failing(PermanentError("no such customer"), 99, events[11])
    moments = work(lab, topic, group, handle, hooks=[look])
    assert len(seen) == len(told(moments, "dead-lettered")) == len(told(moments, "failed")) == 1
    assert len(handle.done) == 29
    assert lab.lag(topic, group).total == 0


def test_an_unknown_error_gets_its_attempts_and_then_a_dead_letter(lab):
    """Which says how often it was tried, by whom, and what was wrong."""
    events = story.events(20, seed=4)
    topic, group = filled(lab, events), lab.group("unknown")
    moments = work(lab, topic, group, Failing(KeyError("user"), 99, events[5]))
    assert len(told(moments, "retrying")) == QUICK.attempts - 1
    (record,) = log.read(lab, dead_letter.topic_of(topic)).records
    letter = dead_letter.unwrap(record)
    assert (letter.error, letter.message, letter.attempts, letter.group) == ("KeyError", "'user'", 4, group)
    assert decode(dead_letter.original(record)) == events[5]


def test_an_outage_makes_no_dead_letters(lab):
    """Each partition pauses at the event that it has come to; when the outage ends, everything is processed."""
    events = story.events(30, seed=5)
    topic, group = filled(lab, events), lab.group("outage")
    done, outage = [], [True]

    def handle(event):
        if outage:
            raise ConnectionRefusedError("the database is down")
        done.append(event.event_id)

    def end_it(moment):
        paused.append(moment) if moment.kind == "paused" else None
        if len({moment.partitions for moment in paused}) == 3 and len(paused) > 6:
            outage.clear()

    paused = []
    moments = work(lab, topic, group, handle, hooks=[end_it], patience=30)
    assert not told(moments, "dead-lettered")
    assert log.read(lab, dead_letter.topic_of(topic)).records == ()
    assert len({moment.offset for moment in paused if moment.partitions == paused[0].partitions}) == 1
    assert all(moment.seconds <= QUICK.wait_max for moment in paused)
    assert sorted(done) == sorted(event.event_id for event in events)
    assert len(told(moments, "assigned")) == 1


def test_a_rebalance_during_a_wait_leaves_no_partition_paused(lab):
    """The member is evicted while a record waits; the partition's new owner begins with that record."""
    events = story.events(20, seed=6)
    topic, group, handle = filled(lab, events, 1), lab.group("rebalance"), Failing(TransientError(), 2, events[4])

    def throw_out(moment):
        retried.append(moment) if moment.kind == "retrying" else None
        if moment.kind == "retrying" and len(retried) == 2:  # what is before it has been committed meanwhile
            lab.evict(group)
            knows = lab._clients["A"].group_metadata
            until(lambda: knows().generation_id < 0, 300, "a heartbeat to tell the member")

    retried = []
    moments = work(lab, topic, group, handle, policy=Policy(wait_initial=1, wait_max=1), hooks=[throw_out])
    assert len(told(moments, "assigned")) == 2
    assert handle.done == [event.event_id for event in events]
    assert lab.lag(topic, group).total == 0


def test_a_partition_that_a_rebalance_gives_back_goes_on(lab):
    """The client leaves it paused when the same member keeps it; a second member comes while a record waits."""
    events = story.events(30, seed=7)
    topic, group = filled(lab, events, 2), lab.group("kept")
    first = next(record for record in log.read(lab, topic).records if record.partition == 0)
    handle = Failing(TransientError(), 1, decode(first))
    other = lab.consumer(topic, name="B", group_id=group, **READS)
    ended = []

    def end() -> bool:
        if told(seen, "retrying"):
            other.poll(timeout_ms=100)
        if len(told(seen, "assigned")) > 1 and other.assignment() and not ended:
            ended.append(reading.at_the_end(lab._clients["A"]))
        return bool(ended) and ended[0]()

    seen = []
    work(
        lab,
        topic,
        group,
        handle,
        policy=Policy(wait_initial=20, wait_max=20, wait_jitter=0),
        hooks=[seen.append],
        until=end,
    )
    lab.close_client("B")
    assert told(seen, "assigned")[-1].partitions == (TopicPartition(topic, 0),)
    assert next(moment.offset for moment in told(seen, "handled") if moment.partitions[0].partition == 0) == 0
    assert log.committed(lab, topic, group)[0] == log.bounds(lab, topic)[1][0]


# The dead letter topic is down


def loses_nothing(lab, topic, group, events, poison, repair):
    """A worker stops because it cannot write a dead letter; after the repair another one goes on: nothing is lost."""
    handle = Failing(PermanentError("no"), 99, poison)
    with pytest.raises(DeadLetterError) as caught:
        work(lab, topic, group, handle, writes=IMPATIENT)
    failed = next(record for record in log.read(lab, topic).records if decode(record).event_id == poison.event_id)
    assert log.committed(lab, topic, group).get(failed.partition, 0) <= failed.offset
    assert f"{topic}/{failed.partition}/{failed.offset}" in caught.value.tried
    repair()
    work(lab, topic, group, handle)
    (letter,) = log.read(lab, dead_letter.topic_of(topic)).records
    assert decode(dead_letter.original(letter)) == poison
    assert set(handle.done) == {event.event_id for event in events} - {poison.event_id}
    assert lab.lag(topic, group).total == 0
    return caught.value


def test_without_a_dead_letter_topic_the_worker_stops_and_nothing_is_lost(lab):
    """It was never made, or deleted."""
    events = story.events(20, seed=8)
    topic = filled(lab, events, dead_letters=False)
    lab.delete_topics([dead_letter.topic_of(topic)])
    error = loses_nothing(
        lab, topic, lab.group("missing"), events, events[9],
        lambda: lab.create_topic(dead_letter.topic_of(topic), 3, **dead_letter.topic_settings()),
    )  # fmt: skip
    assert "is there a topic 97-orders-dlt" in error.next_step
    assert "it is the dead letter of labsupport.errors.PermanentError: no" in error.seen


def test_a_dead_letter_topic_that_is_deleted_under_the_worker_stops_it(lab):
    """The producer has written there before, and believes that it is there."""
    events = story.events(20, seed=8)
    topic, group = filled(lab, events, 1), lab.group("deleted")
    handle = Failing(PermanentError("no"), 99, events[3], events[9])

    def delete(moment):
        if moment.kind == "dead-lettered" and len(log.read(lab, topic + "-dlt").records) == 1:
            lab.delete_topics([topic + "-dlt"])

    with pytest.raises(DeadLetterError):
        work(lab, topic, group, handle, hooks=[delete], writes=IMPATIENT)
    assert log.committed(lab, topic, group) == {0: 9}


def test_a_dead_letter_that_the_broker_refuses_stops_the_worker_and_nothing_is_lost(lab):
    """The topic takes smaller records than it needs."""
    events = story.events(20, seed=9)
    topic = filled(lab, events)
    lab.create_topic(dead_letter.topic_of(topic), 3, max_message_bytes=100)
    error = loses_nothing(
        lab, topic, lab.group("refused"), events, events[9],
        lambda: lab.create_topic(dead_letter.topic_of(topic), 3, **dead_letter.topic_settings()),
    )  # fmt: skip
    assert "MessageSizeTooLargeError" in error.seen


def test_without_its_broker_the_worker_stops_and_nothing_is_lost(runtime):
    """The broker is stopped while the poison is in hand; neither dead letter nor commit can be had."""
    events = story.events(20, seed=10)
    with private(settings=runtime.settings) as kafka:
        topic = filled(kafka, events, 1)
        done = []

        def handle(event):
            if event == events[9]:
                kafka.broker(1).stop()
                raise PermanentError("no")
            done.append(event.event_id)

        with pytest.raises(DeadLetterError):
            work(kafka, topic, "97-stopped", handle, writes=IMPATIENT)
        kafka.broker(1).start()
        handle = Failing(PermanentError("no"), 99, events[9])
        work(kafka, topic, "97-stopped", handle)
        letters = log.read(kafka, topic + "-dlt").records
        assert {decode(dead_letter.original(letter)) for letter in letters} == {events[9]}
        assert set(done) | set(handle.done) == {event.event_id for event in events} - {events[9].event_id}
        assert log.committed(kafka, topic, "97-stopped") == {0: 20}


def test_without_a_recovery_the_worker_stops_as_before(lab):
    """The handler's own error comes out."""
    events = story.events(5, seed=11)
    topic, group = filled(lab, events, 1), lab.group("plain")
    consumer = lab.consumer(topic, name="A", group_id=group, **READS)
    with pytest.raises(PermanentError):
        Worker(consumer, Failing(PermanentError(), 1, events[2]), decode=decode).run()
    assert log.committed(lab, topic, group) == {0: 2}
    assert isinstance(DeadLetterError("", ""), LabError)


@pytest.mark.parametrize(("then", "ends"), [(PAUSE, "paused"), (DEAD_LETTER, "dead-lettered"), (STOP, "overdue")])
def test_no_pause_without_an_end_that_somebody_hears_of(lab, then, ends):
    """One event fails for ever, for something else than itself: reported, and then what the policy says."""
    events = story.events(5, seed=3)
    topic, group = filled(lab, events, partitions=1), lab.group("overdue")
    handle, moments = Failing(TransientError("down"), 10**9, events[2]), []
    policy = Policy(attempts=2, wait_initial=0.01, wait_max=0.02, timeout=60, outage=0.1, then=then)

    def over():
        enough = len(told(moments, "overdue")) >= (3 if then == PAUSE else 1)
        return enough or len(told(moments, "paused")) > 200  # in vain

    def run():
        work(lab, topic, group, handle, policy=policy, until=over, hooks=[moments.append])

    if then == STOP:
        with pytest.raises(TransientError, match="down"):
            run()
    else:
        run()
    late = told(moments, "overdue")
    assert all(moment.seconds >= 0.1 and moment.error == "TransientError" for moment in late)
    assert {moment.offset for moment in late} == {2}
    after = moments[moments.index(late[-1]) :]
    assert after[0 if then == STOP else 1].kind == ends
    assert log.committed(lab, topic, group) == {0: 5 if then == DEAD_LETTER else 2}
    assert len(log.read(lab, dead_letter.topic_of(topic)).records) == (then == DEAD_LETTER)


@pytest.mark.parametrize("waits", [4.0, 6.0])
def test_a_wait_as_long_as_ones_patience_is_not_taken_for_a_kafka_that_is_silent(lab, waits):
    """`at_the_end` knows that the partition waits on purpose, and until when."""
    events = story.events(3, seed=4)
    topic, group, handle = filled(lab, events), lab.group("patient"), Failing(TransientError("busy"), 1, events[0])
    policy = Policy(attempts=1, wait_initial=waits, wait_max=waits, wait_jitter=0)
    moments = work(lab, topic, group, handle, policy=policy, patience=4.0)
    assert len(told(moments, "paused")) == 1
    assert lab.lag(topic, group).total == 0


def test_a_partition_that_somebody_paused_and_forgot_is_named(lab):
    """The worker did not pause it, so reading to the end would never finish."""
    topic = filled(lab, story.events(6, seed=5), partitions=1)
    consumer = lab.consumer(name="A", **READS)
    consumer.assign([TopicPartition(topic, 0)])
    consumer.pause(TopicPartition(topic, 0))
    with pytest.raises(LabError, match=f"paused, and so not read: {topic}/0"):
        list(reading.to_the_end(consumer, patience=0.5))
