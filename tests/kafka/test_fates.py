"""The rule of exercise 18-1 on real brokers: 36 deaths, three brokers that die one after the other."""

import contextlib
import importlib
from collections.abc import Callable, Iterator

import pytest

from labsupport.broker.cluster import Cluster, private
from labsupport.course.exercises import by_id
from labsupport.course.exercises.replication import KEPT, LOST, OFFLINE, REFUSED, Death
from labsupport.errors import DisturbedError
from labsupport.experiments.breaking import outages
from labsupport.experiments.breaking.outages import Sender, freeze
from labsupport.experiments.watching import replicas
from labsupport.waiting import until

proven = pytest.mark.proven_by(
    "labsupport/course/exercises/18-1/played.csv",
    "labsupport/course/exercises/replication.py",
    "labsupport/experiments/breaking/outages.py",
    "labsupport/experiments/watching/replicas.py",
    "labsupport/broker/*.py",
)


Stage = dict[Death, Sender]


def made(kafka: Cluster, isr: tuple[int, ...], dead: tuple[int, ...], leaders: tuple[int, ...]) -> Stage:
    """A topic for each acks, min.insync.replicas and leader, and its producer; all brokers still live."""
    found = {}
    for leader in leaders:
        for acks in (1, "all"):
            for min_isr in (1, 2, 3):
                name = f"18-{leader}-of-{len(isr)}-{acks}-{min_isr}-{len(dead)}"
                placed = [leader, *(each for each in (1, 2, 3) if each != leader)]
                topic = kafka.create_topic(name, replicas=placed, min_insync_replicas=min_isr)
                found[Death(leader, isr, acks, min_isr, dead)] = Sender(kafka, topic, once=True, acks=acks)
    return found


def state(kafka: Cluster, topic: str) -> replicas.State:
    """Its only partition's replicas."""
    (found,) = replicas.read(kafka, topic)
    return found


def play(kafka: Cluster, stage: Stage) -> Iterator[tuple[Death, str]]:
    """Send a record to each topic of the stage, let its brokers die, and look."""
    isr, dead = next((death.isr, death.dead) for death in stage)
    others = [number for number in isr if number not in dead]

    def until_all(what: str, condition: Callable[[replicas.State], object]) -> None:
        until(lambda: all(condition(state(kafka, sender.topic)) for sender in stage.values()), 300, what)

    until_all(f"an ISR of {isr}", lambda now: now.isr == isr)
    alone = [sender for death, sender in stage.items() if death.acks == 1 and death.leader in dead]
    for sender in stage.values():
        if sender not in alone:
            sender.write("record")
    freeze(kafka, *others)
    for sender in alone:
        sender.write("record")
    if others and not all(state(kafka, sender.topic).isr == isr for sender in alone):
        raise DisturbedError  # the frozen were taken for dead
    for number in dead:
        kafka.broker(number).kill()
    for number in others:
        kafka.broker(number).resume()
    if not others:  # somebody must say that nobody leads: one that had left the ISR before
        kafka.broker(1).start()
    until_all("the dead to be out", lambda now: now.leader not in dead and not {*dead} & {*now.isr})
    for death, sender in stage.items():
        yield death, fate(kafka, sender)


def fate(kafka: Cluster, sender: Sender) -> str:
    """What became of the record: by what was told, and what the leader has on its disk."""
    told = sender.told["record"]
    if told != "acknowledged":
        return told
    leader = state(kafka, sender.topic).leader
    if leader is None:
        return OFFLINE
    return KEPT if b"record" in replicas.on_disk(kafka.broker(leader), sender.topic) else LOST


def play_all(kafka: Cluster) -> list[tuple[Death, str]]:
    """Broker 1 dies, then broker 2, then nobody, then broker 3."""
    stages = [
        made(kafka, isr, dead, leaders)
        for isr, dead, leaders in (
            ((1, 2, 3), (1,), (1, 2)),
            ((2, 3), (2,), (2, 3)),
            ((3,), (), (3,)),
            ((3,), (3,), (3,)),
        )
    ]
    return [found for stage in stages for found in play(kafka, stage)]


def undisturbed(settings) -> list[tuple[Death, str]]:
    """Play all; again, on new brokers, if the machine stood still for a session while followers were frozen."""
    for _ in range(5):
        with private(3, settings, controller=True, **outages.BROKERS) as kafka, contextlib.suppress(DisturbedError):
            return play_all(kafka)
    raise DisturbedError


@proven
def test_real_brokers_do_what_the_rule_says(settings):
    """And what the exercise has on record."""
    judge = importlib.import_module(by_id()["18-1"].judge.__module__)
    found = undisturbed(settings)
    assert {death: seen for death, seen in found if seen != death.fate} == {}
    assert found == list(judge.played())
    assert {seen for _, seen in found} == {REFUSED, KEPT, LOST, OFFLINE}
