"""The capstone: right services hold, wrong ones are caught, each with its sentence. Every story is a real one.

All levels and many seeds, and the other wrong services: `python3 lab.py soak --only capstone`.
"""

import pytest
from kafka.partitioner.default import murmur2

from labsupport.capstone import failing_story, flights, plans, torturer
from labsupport.capstone.publisher import Publisher
from labsupport.capstone.telling import Trouble, tell
from labsupport.capstone.wrong_services import CLIENTS, REFERENCES, WRONG
from labsupport.delivery.reading import READS, to_the_end

# What a crash must meet at a certain moment needs luck, and so the soak.
CAUGHT_HERE = ("has no inbox", "keeps the last value", "skips poison", "forgets when it ends", "leaves corrections out")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_reference_holds_at_bronze(settings, client):
    """In each client: the sheet balances after a crash, and the program is short."""
    outcome = torturer.run(settings, plans.torture("bronze", 1), REFERENCES / client)
    assert (outcome.problem, outcome.sheet.sentences) == ("", [])
    assert outcome.passed
    assert outcome.sheet.events > 2000
    assert [each.act.kind for each in outcome.happenings] == [plans.KILL_IN_OUTAGE]
    assert len((REFERENCES / client / "service.py").read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.parametrize("name", CAUGHT_HERE)
def test_a_wrong_service_is_caught_within_ten_seeds(settings, tmp_path, name):
    """With the sentence that says what is wrong, and a smallest story that can be drawn."""
    wrong = WRONG[name]
    wrong.write(tmp_path)
    for plan in wrong.plans(10):
        outcome = torturer.run(settings, plan, tmp_path)
        if not outcome.passed:
            break
    said = [outcome.problem, *outcome.sheet.sentences]
    assert any(wrong.says in each for each in said), said
    story = failing_story.smallest(outcome)
    assert story is not None
    assert story.record in outcome.records
    assert "smallest failing story" in repr(failing_story.draw(story).get_figure(root=True))


def test_all_steps_are_held_by_a_reference(settings):
    """The two that no other test plays: history again, and the counters."""
    for name in ("replays", "is-watched"):
        step = plans.step(name)
        outcome = torturer.run(settings, step.plan, REFERENCES / "kafka_python", metrics=step.metrics)
        assert (name, outcome.problem, outcome.sheet.sentences) == (name, "", [])


def test_the_publisher_sends_all_in_order_and_keeps_keys_together(cluster, settings):
    """At once or at ×100,000; each key has one partition, the one that kafka-python would choose."""
    days = flights.read(flights.fetch(settings), "2013-02-08", "2013-02-08")
    records = list(tell(days, 1, Trouble(poison=0.05)))
    for speed in (0, 100_000):
        topic = cluster.create_topic("19-published", 3)
        with Publisher(cluster.bootstrap, topic) as publisher:
            publisher.send(records, speed)
        assert publisher.acknowledged == len(records)
        consumer = cluster.consumer(topic, name="published", **READS)
        found = list(to_the_end(consumer))
        partitions = {each.key: each.partition for each in found}
        assert len(set(partitions.values())) == 3
        for key, number in partitions.items():
            assert number == murmur2(key) % 2**31 % 3
            of_key = [each.value for each in found if each.key == key]
            assert of_key == [each.value for each in records if each.key == key]


def test_a_new_service_is_told_what_is_missing(settings, tmp_path, monkeypatch, typed):
    """`start` makes a folder with the contract; its service answers, and `check` says what it does not do yet."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    folder = tmp_path / "service"
    assert typed("capstone", "start", str(folder)).returncode == 0
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in (*plans.STEPS, *plans.LEVELS))
    assert typed("capstone", "start", str(folder)).returncode == 1
    checked = typed("capstone", "check", "starts", str(folder))
    assert checked.returncode == 1
    assert "has never committed" in checked.stdout
    assert "no answer has" in checked.stdout
