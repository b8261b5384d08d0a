"""The states that exercise 18-3 has on record, on real brokers; and that its advice loses nothing."""

import importlib
from collections.abc import Iterator

import pytest

from labsupport.broker.cluster import Cluster, private
from labsupport.broker.server_properties import STEADY
from labsupport.course.exercises import by_id
from labsupport.experiments.breaking.outages import Sender, values
from labsupport.experiments.watching import replicas
from labsupport.waiting import until

proven = pytest.mark.proven_by(
    "labsupport/course/exercises/18-3/*",
    "labsupport/experiments/breaking/outages.py",
    "labsupport/experiments/watching/replicas.py",
    "labsupport/broker/*.py",
)
JUDGE = importlib.import_module(by_id()["18-3"].judge.__module__)


def now(kafka: Cluster, topic: str) -> replicas.State:
    """Its only partition's replicas."""
    (found,) = replicas.read(kafka, topic)
    return found


def looked_at(kafka: Cluster, senders: dict[int, Sender], record: str) -> Iterator[tuple[object, str]]:
    """The state of each topic, and what its producer is told of that record."""
    alive = tuple(broker.number for broker in kafka.embedded.brokers if broker.state == "running")
    for min_isr, sender in senders.items():
        state = now(kafka, sender.topic)
        told = "" if state.leader is None else sender.write(record).told[record]
        yield JUDGE.State(state.leader, state.replicas, state.isr, state.elr, alive, min_isr), told


def made(kafka: Cluster, least: tuple[int, ...], **settings: int) -> dict[int, Sender]:
    """A topic for each min.insync.replicas, led by broker 1, and its producer."""
    placed = {"replicas": [1, 2, 3]}
    topics = {each: kafka.create_topic(f"18-min-{each}", **placed, min_insync_replicas=each) for each in least}
    return {each: Sender(kafka, topic, once=True, **settings) for each, topic in topics.items()}


def with_a_controller(settings=None) -> Iterator[tuple[object, str]]:
    """All live; broker 2 is stopped; 3 is killed; 1 is killed and 2 started. At last what was acknowledged is there."""
    with private(3, settings, controller=True, **STEADY) as kafka:
        senders = made(kafka, (1, 2, 3))

        def until_all(what: str, condition) -> None:
            until(lambda: all(condition(now(kafka, each.topic)) for each in senders.values()), 300, what)

        until_all("all to be in sync", lambda state: state.whole)
        yield from looked_at(kafka, senders, "a")
        kafka.broker(2).stop()
        until_all("2 to be out", lambda state: state.isr == (1, 3))
        yield from looked_at(kafka, senders, "b")
        kafka.broker(3).kill()
        until_all("3 to be out", lambda state: state.isr == (1,))
        yield from looked_at(kafka, senders, "c")
        kafka.broker(1).kill()
        kafka.broker(2).start()
        until_all("1 to be out", lambda state: state.leader != 1)
        until(
            lambda: now(kafka, senders[3].topic).leader == 2, 300, "2, which was stopped, to lead where it is eligible"
        )
        # New ones, which know who leads: the others would ask the dead leader, once.
        later = {each: Sender(kafka, sender.topic, once=True, name=f"later {each}") for each, sender in senders.items()}
        yield from looked_at(kafka, later, "d")
        for number in (3, 1):
            kafka.broker(number).start()
        until_all("all to be in sync", lambda state: state.whole)
        for sender in (*senders.values(), *later.values()):
            there = values(kafka, sender.topic)
            acknowledged = [value for value, told in sender.told.items() if told == "acknowledged"]
            assert set(acknowledged) <= set(there)


def combined(settings=None) -> Iterator[tuple[object, str]]:
    """Two of three brokers that are controllers, too, are killed."""
    with private(3, settings, **STEADY) as kafka:
        # Longer than a session, and nothing can happen in it.
        senders = made(kafka, (2,), request_timeout_ms=5000)
        until(lambda: now(kafka, senders[2].topic).whole, 300, "all to be in sync")
        for number in (2, 3):
            kafka.broker(number).kill()
        yield from looked_at(kafka, senders, "a")


@proven
def test_real_brokers_are_in_these_states(settings):
    """What the metadata say, and what a producer is told; the words of the exercise say the same."""
    found = [*with_a_controller(settings), *combined(settings)]
    assert found == list(JUDGE.seen())
    assert {state: JUDGE.TOLD[told] for state, told in found} == {state: state.word for state, _ in found}
    assert {state.word for state, _ in found} == set(JUDGE.WORDS)
