"""Redrive on a real broker: what goes back is what it was, to all groups or to one, and not twice."""

import struct
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from kafka import KafkaConsumer
from kafka.errors import MessageSizeTooLargeError

from labsupport import balance, faults, inbox, lesson, orders, publish, reading, replay, story
from labsupport.delivery import dead_letter
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.worker import Worker
from labsupport.errors import LabError, PermanentError
from labsupport.experiments.watching import log
from labsupport.history import redrive
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.history.selection import Selection
from labsupport.shop.event import Event
from labsupport.waiting import until

READS = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
EVENTS = story.events(40, seed=1)
DEAD = "97-orders-dlt"


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("97")


@pytest.fixture
def topic(lab):
    """A topic with EVENTS, and an empty one for its dead letters."""
    topic = lab.create_topic("97-orders", 3)
    lab.create_topic(DEAD, 3, **dead_letter.topic_settings())
    lab.delete_groups(lab.groups("97-"))
    publish.publish(lab.producer(name="shop"), topic, EVENTS)
    return topic


@pytest.fixture
def producer(lab):
    """One that sends everything as it was."""
    with closing(ConfluentProducer(lab.bootstrap)) as producer:
        yield producer


def work(lab, topic, group, handle):
    """A worker of the group, to the end of the topic; returns what it told."""
    moments = []
    consumer = lab.consumer(topic, name="A", group_id=group, **READS)
    error_handler = ErrorHandler(lab.producer(name="dead-letters", **dead_letter.producer_settings()))
    worker = Worker(
        consumer,
        handle,
        decode=lambda record: Event.decode(record.value),
        hooks=[moments.append],
        error_handler=error_handler,
    )
    worker.run(until=reading.at_the_end(consumer))
    lab.close_client("A")
    return moments


def failing(*numbers, error=None, then=lambda event: None):
    """A handler with a bug: it cannot process these of EVENTS; with all others it does `then`."""
    poison = {EVENTS[number].event_id for number in numbers}

    def handle(event):
        if event.event_id in poison:
            raise error or PermanentError("a bug")
        then(event)

    return handle


def into(database):
    """A handler without a bug: each event once."""
    return lambda event: inbox.once(database, event.event_id, lambda: orders.effect(database, event))


def reader(lab):
    """A consumer for looking at topics, as a redrive needs one."""
    return lab.consumer(name="redrive")


def ids(records):
    """Their event ids, sorted."""
    return sorted(reading.id_of(record) for record in records)


def redriven(lab, topic):
    """The records that carry the mark."""
    return [record for record in log.read(lab, topic).records if dead_letter.mark_of(record.headers)]


def test_after_the_bug_is_mended_a_redrive_makes_the_sheet_balance(lab, topic, producer, tmp_path):
    """Dead-lettered, then waiting, then processed: nothing lost, nothing twice, the ids the same."""
    path, group = tmp_path / "shop.db", lab.group("payments")

    def sheet():
        return balance.read(lab, topic, group, path, dead_letters=DEAD)

    with closing(orders.database(path)) as database:
        processing = into(database)
        work(lab, topic, group, failing(3, 11, 30, then=processing))
        assert (sheet().count("processed"), sheet().count("dead-lettered")) == (37, 3)
        dry = redrive.redrive(reader(lab), producer, redrive.selection(DEAD), dry_run=True)
        assert "3 would be sent" in str(dry)
        assert redriven(lab, topic) == []
        report = redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
        assert (report.chosen, report.done, report.complete) == (3, 3, True)
        assert (sheet().count("processed"), sheet().count("waiting")) == (37, 3)
        work(lab, topic, group, processing)
    assert (sheet().count("processed"), sheet().count("twice"), sheet().count("lost")) == (40, 0, 0)
    assert sheet().count("produced") == 40
    assert ids(redriven(lab, topic)) == sorted(EVENTS[number].event_id for number in (3, 11, 30))


def test_what_goes_back_is_what_it_was(lab, topic, producer):
    """Key, value, headers but for the mark, and the partition; the timestamp is the time of sending."""
    before = log.read(lab, topic).records
    work(lab, topic, lab.group("g"), failing(5))
    redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    (back,) = redriven(lab, topic)
    (first,) = [record for record in before if record.value == back.value]
    assert (back.key, back.value, back.partition) == (first.key, first.value, first.partition)
    origin = f"{topic}/{first.partition}/{first.offset} {first.timestamp} {EVENTS[5].event_id}"
    assert back.headers == [*first.headers, ("redrive_origin", origin.encode())]
    assert back.timestamp >= first.timestamp
    assert dead_letter.mark_of(back.headers) == (f"{topic}/{first.partition}/{first.offset}", None)


def test_to_the_topic_it_reaches_every_group_addressed_it_does_not(lab, topic, producer):
    """Another group that has processed it gets it again; unless the record names the group that it is for."""
    work(lab, topic, lab.group("payments"), failing(5))
    work(lab, topic, lab.group("reports"), failing())
    redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    for name in "payments", "reports":
        again = work(lab, topic, lab.group(name), failing())
        assert [moment.event_id for moment in again if moment.kind == "handled"] == [EVENTS[5].event_id]

    lab.create_topic(DEAD, 3, **dead_letter.topic_settings())
    lab.delete_groups([lab.group("payments")])
    work(lab, topic, lab.group("payments"), failing(7))
    report = redrive.redrive(reader(lab), producer, redrive.selection(DEAD), addressed=True)
    assert report.done == 1
    own = work(lab, topic, lab.group("payments"), failing())
    others = work(lab, topic, lab.group("reports"), failing())
    assert [moment.event_id for moment in own if moment.kind == "handled"] == [EVENTS[7].event_id]
    assert [moment.event_id for moment in others if moment.kind == "skipped"] == [EVENTS[7].event_id]
    assert not [moment for moment in others if moment.kind == "handled"]
    assert lab.lag(topic, lab.group("reports")).total == 0


def test_dead_letters_are_chosen_by_error_group_time_key_and_type(lab, topic, producer):
    """Each alone and together; what was not chosen stays where it is."""
    work(lab, topic, lab.group("payments"), failing(1, error=PermanentError("no such customer")))
    work(lab, topic, lab.group("payments-2"), failing(6, error=PermanentError("amount is negative")))
    written = [record.timestamp for record in log.read(lab, DEAD).records]
    between = datetime.fromtimestamp(max(written) / 1_000, UTC)

    def found(**chosen):
        return ids_of(redrive.letters(reader(lab), redrive.selection(DEAD, **chosen)).found)

    def ids_of(found):
        return sorted(Event.decode(each.letter.value).event_id for each in found)

    both, first, second = sorted([EVENTS[1].event_id, EVENTS[6].event_id]), [EVENTS[1].event_id], [EVENTS[6].event_id]
    assert found() == both
    assert found(error="no such") == first
    assert found(error="PermanentError") == both
    assert found(error="KeyError") == []
    assert found(group=lab.group("payments-2")) == second
    assert found(since=between) == second
    assert found(before=between) == first
    assert found(keys=[story.key_of(EVENTS[1])]) == first
    assert found(types=EVENTS[6].event_type, error="negative") == second
    assert found(since=datetime.now(UTC) + timedelta(minutes=1)) == []
    assert found(where=lambda record: b"negative" in dict(record.headers)["kafka_dlt-exception-message"]) == second
    assert found(error="no such", where=lambda record: record.offset < 0) == []
    redrive.redrive(reader(lab), producer, redrive.selection(DEAD, error="negative"))
    assert ids(redriven(lab, topic)) == second


def test_a_list_says_what_somebody_needs_and_whether_it_was_sent(lab, topic, producer):
    """By error, in a table; afterwards the same with what was sent back."""
    work(lab, topic, lab.group("payments"), failing(1, 6))
    work(lab, topic, lab.group("payments-2"), failing(8, error=PermanentError("other")))
    redrive.redrive(reader(lab), producer, redrive.selection(DEAD, error="other"))
    listed = redrive.letters(reader(lab), redrive.selection(DEAD))
    assert listed.by_error == {"labsupport.errors.PermanentError": 3}
    assert sorted(listed.table["message"]) == ["a bug", "a bug", "other"]
    assert {row.message: row.sent for row in listed.table.itertuples()} == {"a bug": False, "other": True}
    assert all(each.startswith(f"{DEAD}/") for each in listed.table.index)


def test_nothing_is_sent_twice(lab, topic, producer):
    """Run again it sends nothing; of two dead letters of one record it sends one; what failed again goes again."""
    work(lab, topic, lab.group("payments"), failing(1, 6))
    work(lab, topic, lab.group("reports"), failing(1))
    once = redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert (once.done, once.skipped) == (2, {"sent before": 1})
    again = redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert (again.done, again.skipped) == (0, {"sent before": 3})
    addressed = redrive.redrive(reader(lab), producer, redrive.selection(DEAD), addressed=True)
    assert addressed.done == 0  # everybody has it already
    work(lab, topic, lab.group("payments"), failing(1))
    failed_again = redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert (failed_again.done, failed_again.skipped) == (1, {"sent before": 3})
    assert len(redriven(lab, topic)) == 3


def test_what_is_no_event_stays_one_event_however_often_it_comes_back(lab, topic, producer, tmp_path):
    """Its id is its first coordinates: redriven and dead-lettered three times, the sheet counts it once."""
    producer.send(topic, b"no event", b"k").get()
    orders.database(tmp_path / "shop.db").close()
    for _ in range(3):
        work(lab, topic, lab.group("payments"), failing())
        assert redrive.redrive(reader(lab), producer, redrive.selection(DEAD)).done == 1
    sheet = balance.read(lab, topic, lab.group("payments"), tmp_path / "shop.db", dead_letters=DEAD)
    assert (sheet.count("produced"), sheet.count("waiting")) == (41, 1)
    assert redrive.redrive(reader(lab), producer, redrive.selection(DEAD)).done == 0


def test_what_was_addressed_goes_to_all_only_if_that_is_asked_for(lab, topic, producer):
    """Two groups could not process the same event: each got its own. To all, both would get it twice."""
    for name in "payments", "reports":
        work(lab, topic, lab.group(name), failing(1))
    work(lab, topic, lab.group("payments"), failing(1))
    assert redrive.redrive(reader(lab), producer, redrive.selection(DEAD), addressed=True).done == 2
    assert redrive.redrive(reader(lab), producer, redrive.selection(DEAD), addressed=True).done == 0
    to_all = redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert (to_all.done, to_all.skipped) == (0, {"sent before, to one group only": 2})
    assert redrive.redrive(reader(lab), producer, redrive.selection(DEAD), widen=True).done == 1
    assert redrive.redrive(reader(lab), producer, redrive.selection(DEAD), widen=True).done == 0
    assert len(redriven(lab, topic)) == 3


def test_what_was_sent_to_one_group_is_not_sent_to_it_again_by_anothers_letter(lab, topic, producer):
    """Only one of the two was sent back, addressed; then all are to go to everybody."""
    for name in "payments", "reports":
        work(lab, topic, lab.group(name), failing(1))
    chosen = redrive.selection(DEAD, group=lab.group("reports"))
    assert redrive.redrive(reader(lab), producer, chosen, addressed=True).done == 1
    assert redrive.redrive(reader(lab), producer, redrive.selection(DEAD)).done == 0
    assert redrive.redrive(reader(lab), producer, redrive.selection(DEAD), addressed=True).done == 1


def test_a_topic_made_anew_has_other_records_at_the_same_places(lab, topic, producer):
    """Two dead letters with the same coordinates, of two events: both go back, also in two runs."""
    for number in (0, 5):
        lab.create_topic(topic, 1)
        lab.delete_groups([lab.group("payments")])
        publish.publish(lab.producer(name="shop"), topic, EVENTS[number : number + 1])
        work(lab, topic, lab.group("payments"), failing(number))
    listed = redrive.letters(reader(lab), redrive.selection(DEAD))
    assert {found.letter.coordinates for found in listed.found} == {f"{topic}/0/0"}
    once = redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert (once.done, once.skipped) == (2, {})
    assert ids(redriven(lab, topic)) == sorted([EVENTS[0].event_id, EVENTS[5].event_id])
    again = redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert (again.done, again.skipped) == (0, {"sent before": 2})


def test_what_is_no_event_is_told_apart_by_its_time(lab, topic, producer):
    """Without an id: in a recreated topic another record has the same coordinates and another timestamp."""
    for timestamp in (1_776_335_400_000, 1_776_335_400_001):
        lab.create_topic(topic, 1)
        lab.delete_groups([lab.group("payments")])
        producer.send(topic, b"no event", b"k", timestamp_ms=timestamp).get()
        work(lab, topic, lab.group("payments"), failing())
    assert redrive.redrive(reader(lab), producer, redrive.selection(DEAD)).done == 2
    assert redrive.redrive(reader(lab), producer, redrive.selection(DEAD)).done == 0


def test_a_mark_of_before_counts_for_the_event_that_it_stands_on(lab, topic, producer):
    """Marks used to be coordinates alone, and marks written by hand may still be."""
    work(lab, topic, lab.group("payments"), failing(1, 6))
    first, second = redrive.letters(reader(lab), redrive.selection(DEAD)).found
    headers = [*first.letter.headers, ("redrive_origin", first.letter.coordinates.encode())]
    producer.send(topic, first.letter.value, first.letter.key, headers).get()
    report = redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert (report.done, report.skipped) == (1, {"sent before": 1})
    headers = [*second.letter.headers, ("redrive_origin", first.letter.coordinates.encode())]
    assert not dead_letter.copied(log.read(lab, DEAD).records[1]) & {(first.letter.origin, None)}
    producer.send(topic, second.letter.value, second.letter.key, headers).get()  # another event at those coordinates
    assert [found.sent for found in redrive.letters(reader(lab), redrive.selection(DEAD)).found] == [True, True]


def test_what_another_tool_sent_back_with_all_headers_can_fail_again_and_come_back(lab, topic, producer):
    """As user interfaces resend a record: the copy fails at its own coordinates, and that letter goes back too."""
    work(lab, topic, lab.group("payments"), failing(1))
    (letter,) = log.read(lab, DEAD).records
    producer.send(topic, letter.value, letter.key, letter.headers, 0).get()
    skipped = redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert (skipped.done, skipped.skipped) == (0, {"sent before": 1})
    work(lab, topic, lab.group("payments"), failing(1))
    again = redrive.letters(reader(lab), redrive.selection(DEAD)).found[-1].letter
    resent = log.read(lab, topic).records
    assert again.coordinates in {f"{topic}/{each.partition}/{each.offset}" for each in resent if len(each.headers) > 2}
    report = redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert (report.done, report.skipped) == (1, {"sent before": 1})
    (back,) = redriven(lab, topic)
    assert back.headers[:-1] == letter.headers
    assert reading.id_of(back) == EVENTS[1].event_id


def test_what_was_planned_is_what_is_sent(lab, topic, producer):
    """A dead letter that is written after the plan is not sent; one that somebody sends meanwhile is left."""
    work(lab, topic, lab.group("payments"), failing(1, 6))
    plan = redrive.plan(reader(lab), redrive.selection(DEAD))
    assert "2 would be sent" in str(plan.report)
    assert plan.report.complete
    work(lab, topic, lab.group("payments-2"), failing(8))
    other = redrive.selection(DEAD, where=lambda record: record.offset == 0 and record.partition == 0)
    sent = redrive.redrive(lab.consumer(name="other"), producer, other).done
    report = plan.send(producer)
    assert (sent, report.done, report.skipped) == (1, 1, {"sent before": 1})
    assert report.complete
    assert ids(redriven(lab, topic)) == sorted([EVENTS[1].event_id, EVENTS[6].event_id])


def test_each_topic_is_read_once_and_only_where_copies_can_be(lab, topic, producer):
    """Dead letters once; of the original topic what came since the first of them was written; then what is new."""
    counted = Counter()

    class Counting(KafkaConsumer):
        def poll(self, *how, **more):
            polled = super().poll(*how, **more)
            for partition, records in polled.items():
                counted[partition.topic] += len(records)
            return polled

    lab.create_topic(topic, 1)
    publish.publish(lab.producer(name="shop"), topic, story.events(3_000, seed=2), dated=True)  # long ago
    publish.publish(lab.producer(name="shop"), topic, EVENTS[:5])
    work(lab, topic, lab.group("payments"), failing(1, 3))
    with closing(Counting(bootstrap_servers=lab.bootstrap.split(","))) as consumer:
        plan = redrive.plan(consumer, redrive.selection(DEAD))
        assert counted == {DEAD: 2, topic: 5}
        assert plan.send(producer).done == 2
        assert counted == {DEAD: 2, topic: 5}
        assert [found.sent for found in redrive.letters(consumer, redrive.selection(DEAD)).found] == [True, True]
    assert counted == {DEAD: 4, topic: 12}


def test_addressed_to_nobody_is_not_sent(lab, topic, producer):
    """Another tool did not say which group: addressed to nobody, every group would skip it."""
    value, key = EVENTS[1].encode(), story.key_of(EVENTS[1])
    producer.send(DEAD, value, key, spring(topic, 0, 1)).get()
    report = redrive.redrive(reader(lab), producer, redrive.selection(DEAD), addressed=True)
    assert (report.done, report.skipped) == (0, {"for which group is not known": 1})


def spring(topic, partition, offset):
    """The least of Spring's headers."""
    return [
        ("kafka_dlt-original-topic", topic.encode()),
        ("kafka_dlt-original-partition", struct.pack(">i", partition)),
        ("kafka_dlt-original-offset", struct.pack(">q", offset)),
    ]


def test_dead_letters_without_a_usable_time_are_listed_and_sent(lab, topic, producer):
    """Microseconds, nothing, below zero: in the header, and as the dead letter's own timestamp."""
    lab.create_topic(DEAD, 1, message_timestamp_after_max_ms=2**62, **dead_letter.topic_settings())
    stamps = (1_795_649_824_000_000, -1, -86_400_000, 2**63 - 1)
    for number, stamp in enumerate(stamps):
        headers = [*spring(topic, 0, number), ("kafka_dlt-original-timestamp", struct.pack(">q", stamp))]
        own = stamp if stamp > 0 else None
        producer.send(DEAD, b"v", b"k", headers, timestamp_ms=own if own != 2**63 - 1 else None).get()
    listed = redrive.letters(reader(lab), redrive.selection(DEAD))
    assert [found.letter.timestamp for found in listed.found] == list(stamps)
    assert listed.found[0].written is None
    assert listed.table["attempts"].tolist() == ["–"] * 4
    assert log.read(lab, DEAD).table.shape == (4, 2)
    assert redrive.redrive(reader(lab), producer, redrive.selection(DEAD)).done == 4
    assert redrive.redrive(reader(lab), producer, redrive.selection(DEAD)).done == 0
    copies = lab.create_topic("97-copies", 1, message_timestamp_after_max_ms=2**62)
    assert replay.choose(reader(lab), Selection(DEAD)).send(producer, copies).done == 4


class Telling(ConfluentProducer):
    """A real one, which tells when it has sent."""

    def __init__(self, bootstrap, at):
        super().__init__(bootstrap)
        self.at = at

    def send(self, *what):
        sending = super().send(*what)
        sending.get(300)
        self.at("sent")
        return sending


def redriving(kafka, at, dead_letters):
    """A redrive in a process of its own."""
    redrive.redrive(kafka.consumer(name="redrive"), Telling(kafka.bootstrap, at), redrive.selection(dead_letters))


def test_an_interrupted_redrive_is_run_again(lab, topic, producer):
    """Killed after two of five: the second run sends the other three."""
    work(lab, topic, lab.group("payments"), failing(1, 6, 9, 14, 20))
    assert faults.run(lab, redriving, DEAD, kill_at="sent", nth=2).killed_at == "sent"
    assert len(redriven(lab, topic)) == 2
    report = redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert (report.done, report.skipped) == (3, {"sent before": 2})
    assert ids(redriven(lab, topic)) == sorted(EVENTS[number].event_id for number in (1, 6, 9, 14, 20))


class Interrupted(ConfluentProducer):
    """A real one; Ctrl-C comes when it is to send the third."""

    count = 0

    def send(self, *what):
        self.count += 1
        if self.count == 3:
            raise KeyboardInterrupt
        return super().send(*what)


def test_ctrl_c_in_the_middle_says_how_far_it_came(lab, topic, producer):
    """Two were sent, in their order; the same command once more sends the other three."""
    work(lab, topic, lab.group("payments"), failing(1, 6, 9, 14, 20))
    with closing(Interrupted(lab.bootstrap)) as stopping, pytest.raises(KeyboardInterrupt) as caught:
        redrive.redrive(reader(lab), stopping, redrive.selection(DEAD))
    (note,) = caught.value.__notes__
    assert "5 chosen" in note
    assert "came to offset" in note
    until(lambda: len(redriven(lab, topic)) == 2, 300, "the two to be stored")
    report = redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert (report.done, report.skipped) == (3, {"sent before": 2})


def test_what_has_been_processed_already_is_not_processed_again(lab, topic, producer, tmp_path):
    """Redriven and processed, then sent back once more by somebody who did not look: the inbox knows it."""
    group = lab.group("payments")
    with closing(orders.database(tmp_path / "shop.db")) as database:
        processing = into(database)
        work(lab, topic, group, failing(4, then=processing))
        redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
        work(lab, topic, group, processing)
        (back,) = redriven(lab, topic)
        producer.send(topic, back.value, back.key, back.headers, back.partition).get()  # by somebody who does not look
        again = work(lab, topic, group, processing)
    assert [moment.event_id for moment in again if moment.kind == "handled"] == [EVENTS[4].event_id]
    sheet = balance.read(lab, topic, group, tmp_path / "shop.db", dead_letters=DEAD)
    assert (sheet.count("processed"), sheet.count("twice")) == (40, 0)


def test_a_redrive_to_a_topic_that_is_gone_sends_nothing(lab, topic, producer):
    """It says which; also if it is one of several."""
    work(lab, topic, lab.group("payments"), failing(4))
    (letter,) = log.read(lab, DEAD).records
    other = dead_letter.wrap(log.read(lab, topic).records[0]._replace(topic="97-gone"), ValueError(), 1, "g")
    key, value, headers = other.encode()
    producer.send(DEAD, value, key, headers, letter.partition).get()
    with pytest.raises(LabError, match="no topic 97-gone any more") as caught:
        redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert "nothing was sent" in caught.value.seen
    assert redriven(lab, topic) == []
    with pytest.raises(LabError, match="no topic '97-never-dlt'"):
        redrive.redrive(reader(lab), producer, redrive.selection("97-never-dlt"))


def test_what_is_no_dead_letter_is_counted_and_left(lab, topic, producer):
    """Somebody has sent something else there, or named the wrong topic."""
    producer.send(DEAD, b"hello", b"k").get()
    report = redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert (report.done, report.skipped) == (0, {"no dead letter": 1})
    assert redrive.letters(reader(lab), redrive.selection(topic)).report.skipped == {"no dead letter": 40}


def test_a_topic_with_fewer_partitions_than_before_lets_the_key_decide(lab, topic, producer):
    """It was recreated in the meantime."""
    records = log.read(lab, topic).records
    number = next(number for number, event in enumerate(EVENTS) if event.encode() == records[-1].value)
    work(lab, topic, lab.group("payments"), failing(number))
    lab.create_topic(topic, 1)
    assert redrive.redrive(reader(lab), producer, redrive.selection(DEAD)).done == 1
    assert [record.partition for record in redriven(lab, topic)] == [0]


def test_a_record_that_the_topic_refuses_ends_the_redrive_with_its_account(lab, topic, producer):
    """The original topic takes smaller records now; what was sent before it stays sent, and is known the next time."""
    work(lab, topic, lab.group("payments"), failing(4))
    lab.create_topic(topic, 3, max_message_bytes=80)
    with pytest.raises(MessageSizeTooLargeError) as caught:
        redrive.redrive(reader(lab), producer, redrive.selection(DEAD))
    assert f"not acknowledged: {DEAD}/" in caught.value.__notes__[0]


def test_a_replayed_dead_letter_topic_is_read_as_it_lies(lab, topic, producer):
    """Looking at records adds no mark of a replay to them."""
    work(lab, topic, lab.group("payments"), failing(4))
    (found,) = redrive.letters(reader(lab), redrive.selection(DEAD)).found
    assert [name for name, _ in found.letter.headers] == ["event_type", "event_id"]
    assert replay.replayed(log.read(lab, DEAD).records[0]) is None
