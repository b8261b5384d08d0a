"""JupyterLab's first page with a real Kafka behind it, and as the server sends it."""

import dataclasses
import json
import re
import urllib.request

from labsupport.broker import processes
from labsupport.broker.cluster import connect
from labsupport.commands.front_page import kafka_line
from labsupport.course import progress
from labsupport.course.verdict import Outcome, Verdict
from labsupport.settings import CHECKOUT


def test_the_page_says_whether_the_labs_kafka_runs(elsewhere):
    """Before it was started, while it runs, frozen, killed."""
    absent = "**Kafka is not running.** The first code cell of each lesson starts it."
    assert kafka_line(elsewhere).startswith(absent)
    with connect(elsewhere) as cluster:
        up = (
            rf"Apache Kafka [\d.]+ is running on this computer at `{cluster.bootstrap}`, since [\d-]{{10}} [\d:]{{5}}\."
        )
        assert re.fullmatch(up, kafka_line(elsewhere))
    (broker,) = [each for each in processes.running(elsewhere) if each.role == "background"]
    broker.process.pause()
    assert kafka_line(elsewhere).startswith(absent)
    broker.process.kill()
    assert kafka_line(elsewhere).startswith(absent)


def test_the_page_says_whether_anothers_kafka_answers(elsewhere, broker_elsewhere):
    """With what the lab's topics are called there; or what is wrong, and what to do."""
    theirs = dataclasses.replace(elsewhere, kafka=broker_elsewhere.bootstrap, learner="anna")
    said = kafka_line(theirs)
    assert said.startswith(f"Kafka answers at `{broker_elsewhere.bootstrap}`, which `LAB_KAFKA` names.")
    assert "`lab-anna-`" in said
    said = kafka_line(dataclasses.replace(theirs, kafka="127.0.0.1:1"))
    assert "**Kafka at `127.0.0.1:1` does not answer:** nothing listens" in said
    assert "unset LAB_KAFKA" in said


def test_jupyterlab_makes_the_page_when_it_is_asked(start, elsewhere):
    """It shows what was solved since, and that Kafka is gone; the folder lists it, though there is no such file."""
    started = start()
    address, token = started.address().groups()
    assert "/lab/tree/work/home.md" in started.text

    def get(path: str) -> dict:
        with urllib.request.urlopen(f"{address}/api/contents/{path}?token={token}", timeout=300) as answer:
            return json.load(answer)

    first = get("work/home.md")
    assert (first["format"], first["mimetype"], first["writable"]) == ("text", "text/markdown", False)
    assert "Begin here: [00 · Is my lab alive?](00_start_here.ipynb)" in first["content"]
    assert "is running on this computer" in first["content"]
    progress.remember(elsewhere, Verdict("00-1", Outcome.PASS))
    processes.stop(processes.running(elsewhere, ["background"]))
    later = get("work/home.md")["content"]
    assert "Next: [01 · " in later
    assert "**Kafka is not running.**" in later
    assert [each["name"] for each in get("work")["content"]].count("home.md") == 1
    assert not ((CHECKOUT / "work") / "home.md").exists()
