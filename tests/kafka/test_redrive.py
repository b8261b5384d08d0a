"""Redrive on a real broker: what goes back is what it was, to all groups or to one, and not twice."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from kafka.errors import MessageSizeTooLargeError

from labsupport import balance, faults, inbox, lesson, orders, reading, replay, sending, shop
from labsupport.base import LabError
from labsupport.events import dead_letter, redrive
from labsupport.events.event import Event
from labsupport.events.exact import ExactProducer
from labsupport.events.recovery import Recovery
from labsupport.events.retry import PermanentError
from labsupport.events.worker import Worker
from labsupport.experiments import log

READS = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
EVENTS = shop.events(40, seed=1)
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
    sending.publish(lab.producer(name="shop"), topic, EVENTS)
    return topic


@pytest.fixture
def producer(lab):
    """One that sends everything as it was."""
    with closing(ExactProducer(lab.bootstrap)) as producer:
        yield producer


def work(lab, topic, group, handle):
    """A worker of the group, to the end of the topic; returns what it told."""
    moments = []
    consumer = lab.consumer(topic, name="A", group_id=group, **READS)
    recovery = Recovery(lab.producer(name="dead-letters", **dead_letter.producer_settings()))
    worker = Worker(
        consumer, handle, decode=lambda record: Event.decode(record.value), hooks=[moments.append], recovery=recovery
    )
    worker.run(until=reading.at_the_end(consumer))
    lab.close_client("A")
    return moments


def failing(*places, error=None, then=lambda event: None):
    """A handler with a bug: it cannot process these of EVENTS; with all others it does `then`."""
    poison = {EVENTS[place].event_id for place in places}

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
        dry = redrive.redrive(reader(lab), producer, redrive.choice(DEAD), dry_run=True)
        assert "3 would be sent" in str(dry)
        assert redriven(lab, topic) == []
        account = redrive.redrive(reader(lab), producer, redrive.choice(DEAD))
        assert (account.chosen, account.done, account.complete) == (3, 3, True)
        assert (sheet().count("processed"), sheet().count("waiting")) == (37, 3)
        work(lab, topic, group, processing)
    assert (sheet().count("processed"), sheet().count("twice"), sheet().count("lost")) == (40, 0, 0)
    assert sheet().count("produced") == 40
    assert ids(redriven(lab, topic)) == sorted(EVENTS[place].event_id for place in (3, 11, 30))


def test_what_goes_back_is_what_it_was(lab, topic, producer):
    """Key, value, headers but for the mark, and the partition; the timestamp is the time of sending."""
    before = log.read(lab, topic).records
    work(lab, topic, lab.group("g"), failing(5))
    redrive.redrive(reader(lab), producer, redrive.choice(DEAD))
    (back,) = redriven(lab, topic)
    (first,) = [record for record in before if record.value == back.value]
    assert (back.key, back.value, back.partition) == (first.key, first.value, first.partition)
    assert back.headers == [*first.headers, ("redrive_origin", f"{topic}/{first.partition}/{first.offset}".encode())]
    assert back.timestamp >= first.timestamp
    assert dead_letter.mark_of(back.headers) == (f"{topic}/{first.partition}/{first.offset}", None)


def test_to_the_topic_it_reaches_every_group_addressed_it_does_not(lab, topic, producer):
    """Another group that has processed it gets it again; unless the record names the group that it is for."""
    work(lab, topic, lab.group("payments"), failing(5))
    work(lab, topic, lab.group("reports"), failing())
    redrive.redrive(reader(lab), producer, redrive.choice(DEAD))
    for name in "payments", "reports":
        again = work(lab, topic, lab.group(name), failing())
        assert [moment.event_id for moment in again if moment.what == "handled"] == [EVENTS[5].event_id]

    lab.create_topic(DEAD, 3, **dead_letter.topic_settings())
    lab.delete_groups([lab.group("payments")])
    work(lab, topic, lab.group("payments"), failing(7))
    account = redrive.redrive(reader(lab), producer, redrive.choice(DEAD), addressed=True)
    assert account.done == 1
    own = work(lab, topic, lab.group("payments"), failing())
    others = work(lab, topic, lab.group("reports"), failing())
    assert [moment.event_id for moment in own if moment.what == "handled"] == [EVENTS[7].event_id]
    assert [moment.event_id for moment in others if moment.what == "skipped"] == [EVENTS[7].event_id]
    assert not [moment for moment in others if moment.what == "handled"]
    assert lab.lag(topic, lab.group("reports")).total == 0


def test_dead_letters_are_chosen_by_error_group_time_key_and_type(lab, topic, producer):
    """Each alone and together; what was not chosen stays where it is."""
    work(lab, topic, lab.group("payments"), failing(1, error=PermanentError("no such customer")))
    work(lab, topic, lab.group("payments-2"), failing(6, error=PermanentError("amount is negative")))
    written = [record.timestamp for record in log.read(lab, DEAD).records]
    between = datetime.fromtimestamp(max(written) / 1_000, UTC)

    def found(**chosen):
        return ids_of(redrive.letters(reader(lab), redrive.choice(DEAD, **chosen)).found)

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
    assert found(keys=[shop.key_of(EVENTS[1])]) == first
    assert found(types=EVENTS[6].event_type, error="negative") == second
    assert found(since=datetime.now(UTC) + timedelta(minutes=1)) == []
    assert found(where=lambda record: b"negative" in dict(record.headers)["kafka_dlt-exception-message"]) == second
    assert found(error="no such", where=lambda record: record.offset < 0) == []
    redrive.redrive(reader(lab), producer, redrive.choice(DEAD, error="negative"))
    assert ids(redriven(lab, topic)) == second


def test_a_list_says_what_somebody_needs_and_whether_it_was_sent(lab, topic, producer):
    """By error, in a table; afterwards the same with what was sent back."""
    work(lab, topic, lab.group("payments"), failing(1, 6))
    work(lab, topic, lab.group("payments-2"), failing(8, error=PermanentError("other")))
    redrive.redrive(reader(lab), producer, redrive.choice(DEAD, error="other"))
    listed = redrive.letters(reader(lab), redrive.choice(DEAD))
    assert listed.by_error == {"labsupport.events.retry.PermanentError": 3}
    assert sorted(listed.table["message"]) == ["a bug", "a bug", "other"]
    assert {row.message: row.sent for row in listed.table.itertuples()} == {"a bug": False, "other": True}
    assert all(place.startswith(f"{DEAD}/") for place in listed.table.index)


def test_nothing_is_sent_twice(lab, topic, producer):
    """Run again it sends nothing; of two dead letters of one record it sends one; what failed again goes again."""
    work(lab, topic, lab.group("payments"), failing(1, 6))
    work(lab, topic, lab.group("reports"), failing(1))
    once = redrive.redrive(reader(lab), producer, redrive.choice(DEAD))
    assert (once.done, once.skipped) == (2, {"sent before": 1})
    again = redrive.redrive(reader(lab), producer, redrive.choice(DEAD))
    assert (again.done, again.skipped) == (0, {"sent before": 3})
    addressed = redrive.redrive(reader(lab), producer, redrive.choice(DEAD), addressed=True)
    assert addressed.done == 0  # everybody has it already
    work(lab, topic, lab.group("payments"), failing(1))
    failed_again = redrive.redrive(reader(lab), producer, redrive.choice(DEAD))
    assert (failed_again.done, failed_again.skipped) == (1, {"sent before": 3})
    assert len(redriven(lab, topic)) == 3


def test_what_is_no_event_stays_one_event_however_often_it_comes_back(lab, topic, producer, tmp_path):
    """It has no id but its first place: redriven and dead-lettered three times, the sheet still counts it once."""
    producer.send(topic, b"no event", b"k").get()
    orders.database(tmp_path / "shop.db").close()
    for _ in range(3):
        work(lab, topic, lab.group("payments"), failing())
        assert redrive.redrive(reader(lab), producer, redrive.choice(DEAD)).done == 1
    sheet = balance.read(lab, topic, lab.group("payments"), tmp_path / "shop.db", dead_letters=DEAD)
    assert (sheet.count("produced"), sheet.count("waiting")) == (41, 1)
    assert redrive.redrive(reader(lab), producer, redrive.choice(DEAD)).done == 0


def test_addressed_each_group_gets_its_own_and_everybody_can_still_be_sent_to(lab, topic, producer):
    """Two groups could not process the same event; and one that was not asked gets it only when it is sent to all."""
    for name in "payments", "reports":
        work(lab, topic, lab.group(name), failing(1))
    assert redrive.redrive(reader(lab), producer, redrive.choice(DEAD), addressed=True).done == 2
    assert redrive.redrive(reader(lab), producer, redrive.choice(DEAD), addressed=True).done == 0
    assert redrive.redrive(reader(lab), producer, redrive.choice(DEAD)).done == 1


class Telling(ExactProducer):
    """A real one, which tells when it has sent."""

    def __init__(self, bootstrap, at):
        super().__init__(bootstrap)
        self.at = at

    def send(self, *what):
        sending = super().send(*what)
        sending.get(10)
        self.at("sent")
        return sending


def redriving(kafka, at, dead_letters):
    """A redrive in a process of its own."""
    redrive.redrive(kafka.consumer(name="redrive"), Telling(kafka.bootstrap, at), redrive.choice(dead_letters))


def test_an_interrupted_redrive_is_run_again(lab, topic, producer):
    """Killed after two of five: the second run sends the other three."""
    work(lab, topic, lab.group("payments"), failing(1, 6, 9, 14, 20))
    assert faults.run(lab, redriving, DEAD, kill_at="sent", nth=2).killed_at == "sent"
    assert len(redriven(lab, topic)) == 2
    account = redrive.redrive(reader(lab), producer, redrive.choice(DEAD))
    assert (account.done, account.skipped) == (3, {"sent before": 2})
    assert ids(redriven(lab, topic)) == sorted(EVENTS[place].event_id for place in (1, 6, 9, 14, 20))


def test_what_has_been_processed_already_is_not_processed_again(lab, topic, producer, tmp_path):
    """Redriven and processed, then sent back once more by somebody who did not look: the inbox knows it."""
    group = lab.group("payments")
    with closing(orders.database(tmp_path / "shop.db")) as database:
        processing = into(database)
        work(lab, topic, group, failing(4, then=processing))
        redrive.redrive(reader(lab), producer, redrive.choice(DEAD))
        work(lab, topic, group, processing)
        (back,) = redriven(lab, topic)
        producer.send(topic, back.value, back.key, back.headers, back.partition).get()  # by somebody who does not look
        again = work(lab, topic, group, processing)
    assert [moment.event_id for moment in again if moment.what == "handled"] == [EVENTS[4].event_id]
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
        redrive.redrive(reader(lab), producer, redrive.choice(DEAD))
    assert "nothing was sent" in caught.value.seen
    assert redriven(lab, topic) == []
    with pytest.raises(LabError, match="no topic '97-never-dlt'"):
        redrive.redrive(reader(lab), producer, redrive.choice("97-never-dlt"))


def test_what_is_no_dead_letter_is_counted_and_left(lab, topic, producer):
    """Somebody has sent something else there, or named the wrong topic."""
    producer.send(DEAD, b"hello", b"k").get()
    account = redrive.redrive(reader(lab), producer, redrive.choice(DEAD))
    assert (account.done, account.skipped) == (0, {"no dead letter": 1})
    assert redrive.letters(reader(lab), redrive.choice(topic)).account.skipped == {"no dead letter": 40}


def test_a_topic_with_fewer_partitions_than_before_lets_the_key_decide(lab, topic, producer):
    """It was made anew meanwhile."""
    records = log.read(lab, topic).records
    place = next(place for place, event in enumerate(EVENTS) if event.encode() == records[-1].value)
    work(lab, topic, lab.group("payments"), failing(place))
    lab.create_topic(topic, 1)
    assert redrive.redrive(reader(lab), producer, redrive.choice(DEAD)).done == 1
    assert [record.partition for record in redriven(lab, topic)] == [0]


def test_a_record_that_the_topic_refuses_ends_the_redrive_with_its_account(lab, topic, producer):
    """The original topic takes smaller records now; what was sent before it stays sent, and is known the next time."""
    work(lab, topic, lab.group("payments"), failing(4))
    lab.create_topic(topic, 3, max_message_bytes=80)
    with pytest.raises(MessageSizeTooLargeError) as caught:
        redrive.redrive(reader(lab), producer, redrive.choice(DEAD))
    assert f"not acknowledged: {DEAD}/" in caught.value.__notes__[0]


def test_a_replayed_dead_letter_topic_is_read_as_it_lies(lab, topic, producer):
    """Looking at records adds no mark of a replay to them."""
    work(lab, topic, lab.group("payments"), failing(4))
    (found,) = redrive.letters(reader(lab), redrive.choice(DEAD)).found
    assert [name for name, _ in found.letter.headers] == ["event_type", "event_id"]
    assert replay.replayed(log.read(lab, DEAD).records[0]) is None
