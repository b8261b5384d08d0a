"""The stories of lesson 18 on real brokers: what a producer is told, and what is in the log."""

import pytest
from kafka import TopicPartition

from labsupport.broker.cluster import private
from labsupport.broker.server_properties import STEADY
from labsupport.experiments.breaking import absent_brokers, outages
from labsupport.experiments.breaking.outages import Sender, freeze, pause_of_writes, values, when
from labsupport.experiments.watching import replicas
from labsupport.waiting import until

proven = pytest.mark.proven_by(
    "labsupport/experiments/breaking/absent_brokers.py",
    "labsupport/experiments/breaking/outages.py",
    "labsupport/experiments/watching/replicas.py",
    "labsupport/broker/*.py",
)


@pytest.fixture
def kafka(settings):
    """A controller and three brokers."""
    with private(3, settings, controller=True, **outages.BROKERS) as own:
        yield own


def rows(table) -> dict[str, list]:
    """A table's rows by their names."""
    return {name: list(row) for name, row in table.iterrows()}


def written_last(kafka, topic):
    """Every replica in sync has a record: so the high watermark is behind all before it, and consumers see them."""
    Sender(kafka, topic, name="last").write("last")


@proven
def test_one_acknowledgement_is_lost_with_its_broker_and_all_are_not(kafka):
    """The leader dies before its followers fetch. acks=1 had said yes; acks=all had said nothing, and has them once."""
    senders = {
        acks: Sender(kafka, kafka.create_topic(f"18-{acks}", replicas=[1, 2, 3], min_insync_replicas=2), acks=acks)
        for acks in (1, "all")
    }
    freeze(kafka, 2, 3)
    for sender in senders.values():
        sender.send("a", "b")
        sender.wait_on_disk(1, "a", "b")
    senders[1].wait()
    told = {acks: sender.told for acks, sender in senders.items()}
    kafka.broker(1).kill()
    for number in (2, 3):
        kafka.broker(number).resume()
    for sender in senders.values():
        sender.wait()
        written_last(kafka, sender.topic)
    tables = {acks: rows(sender.table(at_the_death=told[acks])) for acks, sender in senders.items()}
    assert tables[1] == {value: ["acknowledged", "acknowledged", 0] for value in "ab"}
    assert tables["all"] == {value: ["nothing yet", "acknowledged", 1] for value in "ab"}


@proven
def test_with_one_replica_left_a_write_is_refused_or_invisible_or_unknown_and_there(kafka):
    """min.insync.replicas=2; one follower dies, and the other freezes."""
    topic = kafka.create_topic("18-isr", replicas=[1, 2, 3], min_insync_replicas=2)
    careful = Sender(kafka, topic, once=True)
    hasty = Sender(kafka, topic, once=True, request_timeout_ms=2000, name="hasty")
    quick = Sender(kafka, topic, once=True, acks=1, name="quick")
    with replicas.watching(kafka, topic) as watch:
        kafka.broker(2).kill()
        watch.until(lambda state: state.isr == (1, 3), "2 killed")
        careful.write("a")
        hasty.write_behind(3, "b")  # broker 3 still counts as in sync
        watch.until(lambda state: state.isr == (1,), "3 frozen")
        careful.write("c")
        quick.write("d")
        assert values(kafka, topic) == ["a"]
        assert replicas.on_disk(kafka.broker(1), topic) == [b"a", b"b", b"d"]
        kafka.broker(3).resume()
        watch.until(lambda state: state.isr == (1, 3), "3 is awake")
    written_last(kafka, topic)
    assert rows(careful.table()) == {"a": ["acknowledged", 1], "c": ["refused", 0]}
    assert rows(hasty.table()) == {"b": ["unknown", 1]}
    assert rows(quick.table()) == {"d": ["acknowledged", 1]}
    assert list(watch.table["ELR"]) == ["–", "3", "–"]


@proven
def test_a_record_that_comes_too_late_for_a_frozen_follower_is_written_again(kafka, monkeypatch):
    """The session ends before the first attempt: refused, not written. Then the follower is woken, and frozen again."""
    topic = kafka.create_topic("18-late", replicas=[1, 3], min_insync_replicas=2)
    hasty = Sender(kafka, topic, once=True, request_timeout_ms=2000)
    attempts = []

    def too_slow_at_first(kafka, *numbers):
        freeze(kafka, *numbers)
        attempts.append(numbers)
        if len(attempts) == 1:
            when(kafka, topic, lambda now: now.isr == (1,))

    monkeypatch.setattr(outages, "freeze", too_slow_at_first)
    hasty.write_behind(3, "a")
    kafka.broker(3).resume()
    when(kafka, topic, lambda now: now.whole)
    written_last(kafka, topic)
    assert attempts == [(3,), (3,)]
    assert rows(hasty.table()) == {"a": ["unknown", 1]}


@proven
def test_after_an_unclean_election_a_consumer_is_ahead_of_history(kafka):
    """It had read five records. The log has two, then another third; the consumer goes on behind that, silently."""
    topic = kafka.create_topic("18-unclean", replicas=[1, 2, 3], unclean_leader_election_enable="true")
    partition = TopicPartition(topic, 0)
    before = Sender(kafka, topic)
    with replicas.watching(kafka, topic) as watch:
        before.write("a", "b")
        for number, left in ((2, (1, 3)), (3, (1,))):
            kafka.broker(number).kill()
            watch.until(lambda state, left=left: state.isr == left, f"{number} killed")
        before.write("c", "d", "e")
        assert values(kafka, topic) == list("abcde")
        kafka.broker(1).kill()
        kafka.broker(2).start()
        watch.until(lambda state: state.leader == 2, "1 killed, 2 started")
    assert values(kafka, topic) == ["a", "b"]
    after = Sender(kafka, topic, name="after")
    after.write("f")
    consumer = kafka.consumer(name="reader", auto_offset_reset="latest")
    consumer.assign([partition])
    consumer.seek(partition, 5)  # where it had stopped
    read = []

    def set_back() -> bool:
        read.extend(record for records in consumer.poll(timeout_ms=200).values() for record in records)
        return consumer.position(partition) != 5

    until(set_back, 300, "the consumer to be set back")
    assert (read, consumer.position(partition), values(kafka, topic)) == ([], 3, ["a", "b", "f"])
    told = rows(before.table())
    assert [told[value] for value in "abcde"] == [["acknowledged", 1]] * 2 + [["acknowledged", 0]] * 3


@proven
def test_a_frozen_leader_stops_writers_for_longer_than_a_dead_one(settings):
    """Stopped, it hands over first. Killed, its session must end. Frozen, it still accepts connections."""
    found = {}
    with private(3, settings, controller=True, **STEADY) as kafka:
        ways = {"pause": [3, 1, 2], "stop": [1, 2, 3], "kill": [2, 3, 1]}
        topics = {how: kafka.create_topic(f"18-{how}", replicas=replicas) for how, replicas in ways.items()}
        for how, topic in topics.items():
            number = ways[how][0]
            with pause_of_writes(kafka, topic, how, acks="all", request_timeout_ms=2000) as found[how]:
                getattr(kafka.broker(number), how)()
            if how == "pause":
                kafka.broker(number).resume()
                when(kafka, topic, lambda now: now.whole)
    assert found["stop"].longest < found["kill"].longest < found["pause"].longest
    assert (found["kill"].ended_by, found["pause"].ended_by) == (outages.ELECTED, outages.GAVE_UP)
    assert sum(each.failed for each in found.values()) == 0


@proven
@pytest.mark.parametrize(("controller", "told"), [(False, "unknown"), (True, "refused")])
def test_without_a_quorum_nobody_can_change_the_isr(settings, controller, told):
    """Two of three brokers die. If they were two of three controllers, they stay "in sync", and a write waits."""
    with private(3, settings, controller=controller, **STEADY) as kafka:
        topic = kafka.create_topic("18-quorum", replicas=[1, 2, 3], min_insync_replicas=2)
        # Without a quorum nothing can happen in the time-out; with one, an answer has to come.
        seconds = {} if controller else {"request_timeout_ms": 5000}
        Sender(kafka, topic, name="before").write("a")
        sender = Sender(kafka, topic, once=True, **seconds)
        for number in (2, 3):
            kafka.broker(number).kill()
        if controller:
            until(lambda: replicas.read(kafka, topic)[0].isr == (1,), 300, "the ISR to shrink")
        sender.write("b")
        assert values(kafka, topic) == ["a"]
        assert replicas.read(kafka, topic)[0].isr == ((1,) if controller else (1, 2, 3))
        kafka.broker(2).start()
        until(lambda: set(replicas.read(kafka, topic)[0].isr) == {1, 2}, 300, "broker 2 to be in sync")
        written_last(kafka, topic)
        assert rows(sender.table())["b"] == [told, 0 if controller else 1]


@proven
def test_the_death_of_a_broker_is_no_rebalance(kafka):
    """The coordinator of the group dies. The members keep their partitions, and get what is sent then."""
    said = absent_brokers.coordinator_dies(kafka)
    assert said == "the same partitions: True · rebalances: 0 · got: 1 2 3 4 5"


@proven
def test_who_left_the_isr_last_may_lead_unless_it_was_killed(kafka):
    """The ELR: a frozen or stopped replica leads when it is back. A killed one may have lost what it had, and waits."""
    assert rows(absent_brokers.first_back(kafka)) == {
        "frozen": [2, 2, 2, "a b"],
        "killed": [3, 3, "nobody", "a b"],
        "stopped": [3, 3, 3, "a b"],
    }
