"""Everything that reads or counts, on topics with committed, aborted and open transactions, and with markers."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import matplotlib
import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import UnsupportedVersionError
from kafka.structs import OffsetAndMetadata

from labsupport import (
    Observer,
    Worker,
    balance,
    inbox,
    lesson,
    orders,
    plots,
    reading,
    rebuilding,
    redrive,
    replay,
    reset,
    story,
    transactions,
)
from labsupport.delivery import dead_letter, payments
from labsupport.errors import LabError
from labsupport.experiments.watching import log
from labsupport.history.selection import Selection
from labsupport.observability.alerts import Limits
from labsupport.observability.group_watch import GroupWatch
from labsupport.shop.event import Event
from labsupport.waiting import until

matplotlib.use("Agg")

HELD = "for an open transaction of 97-t"
BEFORE, FIRST, SECOND, OTHER, AFTER = EVENTS = story.events(5, seed=3)


@dataclass
class Scene:
    """A topic of two partitions: a plain event, a transaction over both partitions, and perhaps a plain event."""

    topic: str
    producer: KafkaProducer
    readable: list[Event]  # what a service gets
    later: list[Event] = field(default_factory=list)  # counts, and waits for an open transaction
    ends: dict[int, int] = field(default_factory=dict)
    markers: dict[int, int] = field(default_factory=dict)
    outcome: str = ""
    behind: list[Event] = field(default_factory=list)  # plain ones, after the transaction's


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("97")


SCENES = ("committed", "marker at the end", "aborted", "aborted at the end", "open", "open at the end")


@pytest.fixture(params=SCENES)
def scene(request, lab) -> Scene:
    """What a transaction leaves in a log."""
    lab.clear()
    yield (made := make(lab, request.param))
    if made.outcome == "open":
        made.producer.abort_transaction()


def make(lab, name: str) -> Scene:
    """A new topic in that state."""
    topic = lab.topic("orders", partitions=2)
    plain, last = lab.producer(name="plain"), "at the end" not in name
    outcome = "committed" if name == "marker at the end" else name.partition(" ")[0]
    send(plain, topic, BEFORE, 0)
    producer = lab.producer(name="t", transactional_id="97-t", transaction_timeout_ms=600_000, max_block_ms=300_000)
    producer.init_transactions()
    producer.begin_transaction()
    for event, partition in ((FIRST, 0), (SECOND, 0), (OTHER, 1)):
        send(producer, topic, event, partition)
    if outcome != "open":
        {"committed": producer.commit_transaction, "aborted": producer.abort_transaction}[outcome]()
        log.until_end(lab, topic, {0: 4, 1: 2})
    if last:
        send(plain, topic, AFTER, 0)
    marked = outcome != "open"
    inside = [FIRST, SECOND, OTHER] if outcome == "committed" else []
    after = [AFTER] if last else []
    return Scene(
        topic,
        producer,
        [BEFORE, *inside, *(after if marked else [])],
        [] if marked else after,
        {0: 3 + marked + last, 1: 1 + marked},
        {0: 3, 1: 1} if marked else {},
        outcome,
        after,
    )


def send(producer, topic, event, partition):
    """As the shop does."""
    producer.send(topic, event.encode(), event.event_id.encode(), event.headers(), partition).get(timeout=300)


def fresh(lab, scene, **settings):
    """A consumer of a new service."""
    return lab.consumer(scene.topic, name="service", group_id=lab.group("service"), **reading.READS | settings)


def ids(things):
    """The events' ids, sorted: partitions come in any order."""
    return sorted(each.event_id if isinstance(each, Event) else reading.id_of(each) for each in things)


# Readers: each returns what it was given


def to_the_end(lab, scene):
    return list(reading.to_the_end(fresh(lab, scene)))


def worker(lab, scene):
    got = []
    consumer = fresh(lab, scene)
    Worker(consumer, got.append).run(until=reading.at_the_end(consumer))
    return got


def catch_up(lab, scene):
    got = []
    lab.catch_up(scene.topic, "service", got.append)
    return got


def payments_service(lab, scene):
    consumer = payments.connect(lab.bootstrap, scene.topic, lab.group("service"), "A")
    with closing(consumer):
        return list(reading.to_the_end(consumer))


def handled(lab, scene):
    got = []
    report = replay.choose(lab.consumer(name="replay"), Selection(scene.topic)).handle(got.append)
    assert (report.complete, report.read, report.isolation) == (True, len(got), "read_committed")
    assert f"{len(got)} records read (read_committed)" in str(report)
    assert (HELD in str(report)) == (scene.outcome == "open")
    return got


def handled_behind_the_beginning(lab, scene):
    """From the first offset of the transaction on: its beginning was not read, and still it counts or does not."""
    got = [BEFORE]
    replay.choose(lab.consumer(name="replay"), Selection(scene.topic, start=1, partitions=[0])).handle(got.append)
    replay.choose(lab.consumer(name="replay"), Selection(scene.topic, partitions=[1])).handle(got.append)
    return got


def sent(lab, scene):
    target = lab.topic("again")
    replay.choose(lab.consumer(name="replay"), Selection(scene.topic)).send(lab.producer(name="r"), target)
    return lab.log(target).records


def rebuilt(lab, scene):
    got, group = [], lab.group("rebuilt")
    consumer = lab.consumer(name="rebuild", group_id=group, enable_auto_commit=False)
    report = rebuilding.rebuild(consumer, scene.topic, got.append)
    # The service that goes on from there gets what waited, and nothing twice.
    assert log.committed(lab, scene.topic, group) == dict(report.reached)
    return got


def log_below_the_stable_offset(lab, scene):
    held = lab.log(scene.topic)
    return [each for each in held.valid if each.offset < held.stable[each.partition]]


READERS = (
    to_the_end,
    worker,
    catch_up,
    payments_service,
    handled,
    handled_behind_the_beginning,
    sent,
    rebuilt,
    log_below_the_stable_offset,
)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_a_reader_gets_what_a_service_would(lab, scene, read: Callable):
    """Each exactly once: nothing that was aborted, nothing from behind the beginning of an open transaction."""
    assert ids(read(lab, scene)) == ids(scene.readable)


def test_a_reader_says_what_waits(lab, scene, capsys):
    """And for whom; it says nothing if nothing waits."""
    to_the_end(lab, scene)
    said = capsys.readouterr().err.splitlines()
    if scene.outcome != "open":
        assert said == []
        return
    waits = {0: f"{scene.ends[0] - 1} offsets wait", 1: "1 offset waits"}
    assert said == [f"{scene.topic}/{each}: {waits[each]} {HELD} (read_committed)" for each in (0, 1)]


def test_what_an_open_transaction_held_up_comes_later(lab):
    """Once, and in order, to the same group; the rebuilt state too."""
    for end in ("commit_transaction", "abort_transaction"):
        lab.clear()
        scene, group, got = make(lab, "open"), lab.group("rebuilt"), []
        consumer = lab.consumer(name="rebuild", group_id=group, enable_auto_commit=False)
        rebuilding.rebuild(consumer, scene.topic, got.append)
        getattr(scene.producer, end)()
        log.until_end(lab, scene.topic, {0: 5, 1: 2})
        lab.catch_up(scene.topic, "rebuilt", got.append)
        inside = [FIRST, SECOND, OTHER] if end == "commit_transaction" else []
        assert ids(got) == ids([BEFORE, *inside, AFTER])


# The log, which shows everything


def test_the_log_shows_markers_and_what_became_of_each_record(lab, scene):
    """All records, whatever became of them; the table and the picture say what."""
    held = lab.log(scene.topic)
    assert ids(held.records) == ids([BEFORE, FIRST, SECOND, OTHER, *scene.behind])
    assert ids(held.valid) == ids([*scene.readable, *scene.later])
    assert dict(held.ends) == scene.ends
    assert {each.partition: each.offset for each in held.markers} == scene.markers
    assert {each.ends for each in held.markers} <= {scene.outcome}
    inside = {FIRST.event_id, SECOND.event_id, OTHER.event_id}
    assert {reading.id_of(each): held.outcome(each) for each in held.records} == {
        reading.id_of(each): scene.outcome if reading.id_of(each) in inside else "" for each in held.records
    }
    stable = {0: 1, 1: 0} if scene.outcome == "open" else scene.ends
    assert dict(held.stable) == stable
    table = held.table
    assert len(table) == len(held.records) + len(held.markers)
    assert Counter(table["transaction"])[scene.outcome] == 3 + len(scene.markers)
    picture = plots.log(held)
    named = {text.get_text() for text in picture.get_legend().get_texts()}
    assert {"aborted", "open"} & named == {scene.outcome} - {"committed"}
    said = repr(picture.figure)
    assert said.count("aborted") == (3 + 2 if scene.outcome == "aborted" else 0)
    assert said.count("open") == (3 if scene.outcome == "open" else 0)
    assert said.count("marker") == len(scene.markers)


def test_a_log_without_transactions_looks_as_before(lab):
    """No column and no word more."""
    topic = lab.topic("plain")
    send(lab.producer(name="plain"), topic, BEFORE, 0)
    held = lab.log(topic)
    assert list(held.table.columns) == ["key", "value"]
    assert (held.valid, held.markers, dict(held.outcomes)) == (held.records, (), {})


def test_transactions_that_interleave(lab):
    """Two producers in one partition: each batch belongs to its own, and the first to begin holds up both."""
    topic, producers = lab.topic("orders"), {}
    for name in ("97-a", "97-b"):
        producers[name] = lab.producer(
            name=name, transactional_id=name, transaction_timeout_ms=600_000, max_block_ms=300_000
        )
        producers[name].init_transactions()
        producers[name].begin_transaction()
    for name, event in zip(("97-a", "97-b", "97-a", "97-b", "97-a"), EVENTS, strict=True):
        send(producers[name], topic, event, 0)
    producers["97-b"].commit_transaction()
    log.until_end(lab, topic, {0: 6})
    held = lab.log(topic)
    assert [held.outcome(each) for each in held.records] == ["open", "committed", "open", "committed", "open"]
    assert (dict(held.stable), held.valid) == ({0: 0}, (held.records[1], held.records[3]))
    assert "6 offsets wait for an open transaction of 97-a" in lab.lag(topic, lab.group("g")).partitions[0].note
    producers["97-a"].abort_transaction()
    log.until_end(lab, topic, {0: 7})
    assert ids(replayed(lab, topic)) == ids([EVENTS[1], EVENTS[3]])


def replayed(lab, topic):
    """What a replay hands out."""
    got = []
    replay.choose(lab.consumer(name="replay"), Selection(topic)).handle(got.append)
    return got


def test_thousands_of_aborted_records(lab):
    """In many fetches, with one record that counts in the middle."""
    topic = lab.topic("orders")
    producer = lab.producer(name="t", transactional_id="97-t", transaction_timeout_ms=600_000, max_block_ms=300_000)
    producer.init_transactions()
    for number in range(4):
        producer.begin_transaction()
        for _ in range(1_000):
            producer.send(topic, BEFORE.encode())
        producer.flush(timeout=300)
        producer.abort_transaction()
        log.until_end(lab, topic, {0: 1_001 * (number + 1) + (number > 1)})
        if number == 1:
            send(lab.producer(name="plain"), topic, AFTER, 0)
    assert ids(replayed(lab, topic)) == [AFTER.event_id]
    held = lab.log(topic)
    assert (ids(held.valid), held.number("aborted")) == ([AFTER.event_id], 4_000)
    commit(lab, topic, {0: 2_003})
    assert lab.lag(topic, lab.group("service")).total == 0


# Counters


def commit(lab, topic, offsets, group="service"):
    """Commit for a group without members."""
    consumer = lab.consumer(name="commits", group_id=lab.group(group), enable_auto_commit=False)
    consumer.commit(
        {TopicPartition(topic, each): OffsetAndMetadata(at, "", -1) for each, at in offsets.items()}, timeout_ms=10_000
    )


def test_the_lag_of_who_has_read_everything_is_0(lab, scene):
    """Though markers and aborted records follow. What waits for an open transaction is lag, and is named."""
    lab.catch_up(scene.topic, "service", lambda event: None)
    lag = lab.lag(scene.topic, lab.group("service"))
    if scene.outcome == "open":
        assert [each.lag for each in lag.partitions] == [scene.ends[0] - 1, 1]
        assert all(HELD in each.note for each in lag.partitions)
        return
    assert (lag.total, lag.isolation) == (0, "read_committed")
    assert all(("only transaction markers" in each.note) == (each.committed != each.end) for each in lag.partitions), (
        lag.partitions
    )


def test_the_lag_of_who_commits_in_the_transaction_is_0(lab):
    """`send_offsets_to_transaction` commits the next offset, behind which lies the marker."""
    source, target, group = lab.topic("source"), lab.topic("target"), lab.group("service")
    producer = lab.producer(name="t", transactional_id="97-t", transaction_timeout_ms=600_000, max_block_ms=300_000)
    producer.init_transactions()
    producer.begin_transaction()
    send(producer, source, BEFORE, 0)
    producer.commit_transaction()
    log.until_end(lab, source, {0: 2})
    consumer = lab.consumer(source, name="service", group_id=group, **reading.READS)
    (record,) = reading.to_the_end(consumer)
    producer.begin_transaction()
    send(producer, target, AFTER, 0)
    producer.send_offsets_to_transaction(reading.after(record), consumer.group_metadata())
    producer.commit_transaction()
    until(lambda: lab.lag(source, group).partitions[0].committed == 1, 300, "the offsets of the transaction")
    assert (lab.lag(source, group).total, lab.lag(target, lab.group("nobody")).total) == (0, 2)


def test_a_group_whose_offsets_are_pending(lab):
    """A transaction that is open has sent them: nobody knows where the group continues, and a reader says so."""
    lab.clear()
    scene, group = make(lab, "marker at the end"), lab.group("service")
    consumer = lab.consumer(name="service", group_id=group, **reading.READS)
    place = TopicPartition(scene.topic, 0)
    scene.producer.begin_transaction()
    scene.producer.send_offsets_to_transaction({place: OffsetAndMetadata(1, "", -1)}, consumer.group_metadata())
    consumer.assign([place])
    try:
        with pytest.raises(LabError, match="Nothing came") as caught:
            list(reading.to_the_end(consumer, patience=3))
        assert "an open transaction holds the group's offsets back" in caught.value.seen
    finally:
        scene.producer.abort_transaction()
    until(lambda: consumer.position(place, timeout_ms=1_000) == 0, 300, "the offsets to be dropped")
    assert len(list(reading.to_the_end(consumer))) == 3


def test_the_lag_of_who_has_read_nothing(lab, scene):
    """Where nothing counts it is 0; elsewhere all offsets, as Kafka's tools count."""
    lag = lab.lag(scene.topic, lab.group("nobody"))
    one = 0 if scene.outcome == "aborted" else scene.ends[1]
    assert [each.lag for each in lag.partitions] == [scene.ends[0], one]


def test_a_sheet_counts_what_counts(lab, scene):
    """Aborted records are neither waiting nor lost; what waits for an open transaction is waiting."""
    database = lab.database("service")

    def handle(event):
        with closing(orders.database(database)) as connection:
            inbox.once(connection, event.event_id, lambda: orders.effect(connection, event))

    lab.catch_up(scene.topic, "service", handle)
    sheet = lab.balance(scene.topic, lab.group("service"), database)
    counted = {name: sheet.count(name) for name in ("produced", "processed", "waiting", "lost", "twice")}
    assert counted == {
        "produced": len(scene.readable) + len(scene.later),
        "processed": len(scene.readable),
        "waiting": len(scene.later),
        "lost": 0,
        "twice": 0,
    }
    said = f"; 3 records of {scene.outcome} transactions left out (read_committed)"
    assert (said in str(sheet)) == (scene.outcome != "committed")


def test_what_was_aborted_is_never_lost(lab):
    """Also if the group has committed past it."""
    scene = make(lab, "aborted")
    commit(lab, scene.topic, scene.ends)
    database = lab.database("service")
    sheet = lab.balance(scene.topic, lab.group("service"), database)
    assert sheet.ids("lost") == (BEFORE.event_id, AFTER.event_id)
    assert isinstance(sheet, balance.Sheet)


def test_the_observer_and_what_the_watch_says(lab, scene):
    """Nobody is called for a marker. For what waits somebody is, and the transaction is named."""
    lab.catch_up(scene.topic, "service", lambda event: None)
    with Observer(lab, lambda name: name == lab.group("service"), lambda name: name == scene.topic) as observer:
        snapshot = observer.snapshot()
    view = GroupWatch(Limits(60.0, 30.0)).see(snapshot)
    waits = {each.partition: each.waits for each in snapshot.groups[0].partitions}
    assert waits == dict.fromkeys((0, 1), scene.outcome == "open")
    wrong = [words for row in view.rows for words in row.wrong]
    if scene.outcome == "open":
        assert all(HELD in each.note for each in snapshot.groups[0].partitions)
        assert [words for words in wrong if "no member reads it" in words and HELD in words], wrong
    else:
        assert not [words for words in wrong if "wait" in words], wrong


def test_a_group_that_begins_at_the_end_skips_nothing_that_will_count(lab, scene):
    """Reset to the latest offset: that is where a new group of a service would begin."""
    found = reset.reset_offsets(lab.admin(), lab.group("service"), scene.topic, to="latest")
    stable = {0: 1, 1: 0} if scene.outcome == "open" else scene.ends
    assert {each.partition: each.offset for each in found.targets} == stable
    assert all((HELD in each.note) == (scene.outcome == "open") for each in found.targets)
    assert all(each.note == "" for each in reset.reset_offsets(
        lab.admin(), lab.group("service"), scene.topic, to="earliest", partitions=[0]).targets)  # fmt: skip


def test_what_comes_between_two_questions_waits_for_nobody(lab):
    """The end is asked for after the last stable offset: records that come between them are behind it."""
    scene = make(lab, "marker at the end")
    for client in (lab.admin(), lab.consumer(name="c")):
        for partition in (0, 1):
            place = TopicPartition(scene.topic, partition)
            assert transactions.held_up(client, {place: transactions.Bounds(0, 1, 2)}) == {}


def test_a_broker_that_does_not_tell_who_holds_up(lab, monkeypatch):
    """Then nobody is named, and what waits is still known."""
    scene = make(lab, "open")

    def refused(*_):
        raise UnsupportedVersionError

    monkeypatch.setattr(KafkaAdminClient, "describe_producers", refused)
    found = transactions.bounds(lab.admin(), [TopicPartition(scene.topic, 0)])
    assert [*transactions.held_up(lab.admin(), found).values()] == ["3 offsets wait for an open transaction"]
    scene.producer.abort_transaction()
    log.until_end(lab, scene.topic, {0: 5})
    assert transactions.held_up(lab.admin(), found) == {}


# Dead letters


def letters_of(lab, events):
    """The dead letters of these events, which lie in a topic of their own, as (key, value, headers)."""
    lab.clear()
    topic = lab.topic("orders")
    for event in events:
        send(lab.producer(name="plain"), topic, event, 0)
    wrapped = [dead_letter.wrap(each, ValueError("no"), 1, lab.group("g")) for each in lab.log(topic).records]
    return topic, [each.encode() for each in wrapped]


@pytest.mark.parametrize("end", ["commit_transaction", "abort_transaction", ""])
def test_dead_letters_of_a_transaction(lab, end):
    """Listed and sent back if they were committed; what waits is named."""
    topic, letters = letters_of(lab, EVENTS[:3])
    dead = lab.dead_letters(topic)
    producer = lab.producer(name="t", transactional_id="97-t", transaction_timeout_ms=600_000, max_block_ms=300_000)
    producer.init_transactions()
    key, value, headers = letters[0]
    lab.producer(name="plain").send(dead, value, key, headers).get(timeout=300)
    producer.begin_transaction()
    for key, value, headers in letters[1:]:
        producer.send(dead, value, key, headers).get(timeout=300)
    if end:
        getattr(producer, end)()
        log.until_end(lab, dead, {0: 4})
    count = 3 if end == "commit_transaction" else 1
    found = redrive.letters(lab.consumer(name="redrive"), redrive.selection(dead))
    assert len(found.found) == count
    assert (HELD in str(found.report)) == (not end)
    again = redrive.redrive(lab.consumer(name="redrive"), lab.producer(name="back"), redrive.selection(dead))
    assert again.done == count
    if not end:
        producer.abort_transaction()


@pytest.mark.parametrize("end", ["commit_transaction", "abort_transaction", ""])
def test_what_was_sent_back_before(lab, end):
    """Behind somebody's open transaction a copy lies in the log, though no service gets it yet: it is not sent twice.

    A copy that was aborted was not sent.
    """
    topic, letters = letters_of(lab, EVENTS[:1])
    dead = lab.dead_letters(topic)
    (key, value, headers) = letters[0]
    lab.producer(name="plain").send(dead, value, key, headers).get(timeout=300)
    (found,) = redrive.letters(lab.consumer(name="redrive"), redrive.selection(dead)).found
    holder = lab.producer(name="t", transactional_id="97-t", transaction_timeout_ms=600_000, max_block_ms=300_000)
    holder.init_transactions()
    holder.begin_transaction()
    if end:  # the copy itself belongs to a transaction
        copy = dead_letter.redriven(found.letter, False)
        holder.send(topic, found.letter.value, found.letter.key, list(copy)).get(timeout=300)
        getattr(holder, end)()
        log.until_end(lab, topic, {0: 3})
    else:
        send(holder, topic, AFTER, 0)
        redrive.redrive(lab.consumer(name="redrive"), lab.producer(name="back"), redrive.selection(dead))
    (again,) = redrive.letters(lab.consumer(name="redrive"), redrive.selection(dead)).found
    assert again.sent == (end != "abort_transaction")
    done = redrive.redrive(lab.consumer(name="redrive"), lab.producer(name="back"), redrive.selection(dead)).done
    assert done == (end == "abort_transaction")
    if not end:
        holder.abort_transaction()


# Compaction


def test_a_compacted_log_with_transactions(lab):
    """Records, batches and at last markers go; what counts stays, and what was aborted does not come back."""
    topic = lab.topic(
        "compacted",
        cleanup_policy="compact",
        segment_ms=1,
        min_cleanable_dirty_ratio=0,
        max_compaction_lag_ms=1,
        delete_retention_ms=0,
    )
    producer = lab.producer(name="t", transactional_id="97-t", transaction_timeout_ms=600_000, max_block_ms=300_000)
    producer.init_transactions()
    for event, end in ((BEFORE, "commit"), (FIRST, "abort"), (SECOND, "commit"), (OTHER, "abort")):
        producer.begin_transaction()
        producer.send(topic, event.encode(), b"key", event.headers()).get(timeout=300)
        getattr(producer, f"{end}_transaction")()
    log.until_end(lab, topic, {0: 8})
    send(lab.producer(name="plain"), topic, AFTER, 0)

    def cleaned():
        held = lab.log(topic)
        assert ids(held.valid) in (ids([BEFORE, SECOND, AFTER]), ids([SECOND, AFTER]))
        return len(held.records) == 2

    until(cleaned, 300, "the cleaner to remove all but the last value, and what was aborted")
    assert ids(replayed(lab, topic)) == ids([SECOND, AFTER])
    assert lab.lag(topic, lab.group("nobody")).total == 9


# The parts that are pure


def batch(first, last, producer, marker=""):
    return transactions.Batch(first, last, producer, marker)


def test_outcomes():
    """Of one partition: by producer, by marker, and by the last stable offset where a marker is gone."""
    batches = [
        batch(0, 1, 7), batch(2, 2, 8), batch(3, 3, 7, "aborted"), batch(4, 4, 7), batch(5, 5, 8, "committed"),
        batch(6, 6, 7, "committed"), batch(7, 8, 9),
    ]  # fmt: skip
    assert transactions.outcomes(batches, 7, 9) == {
        0: "aborted", 1: "aborted", 2: "committed", 4: "committed", 7: "open", 8: "open",
    }  # fmt: skip
    assert transactions.outcomes(batches[:3], 3, 3) == {0: "committed", 1: "committed", 2: "committed"}
    assert transactions.outcomes([*batches, batch(9, 9, 9, "aborted")], 7, 9)[7] == "open"  # as of then
    assert transactions.outcomes([], 0, 0) == {}


def test_what_waits_in_words():
    """One and several, named or not."""
    assert transactions.waiting(1) == "1 offset waits for an open transaction"
    assert transactions.waiting(1_200, ("a", "b")) == "1,200 offsets wait for an open transaction of a, b"
    assert transactions.Bounds(0, 3, 5).hidden == 2
