"""Somebody else's Kafka with stock settings: short sessions are refused, and partitions are counted."""

import re

import pytest
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import InvalidSessionTimeoutError

from labsupport.broker import background, session_limit
from labsupport.broker.cluster import LARGEST_ELSEWHERE, Cluster
from labsupport.connection import Connection
from labsupport.course import lab as lab_module
from labsupport.course import open_lessons, session
from labsupport.errors import LabError
from labsupport.experiments.breaking import members
from labsupport.settings import CHECKOUT, Settings


@pytest.fixture(scope="module")
def stock(runtime, tmp_path_factory):
    """A broker whose groups are as Kafka's defaults have them; nobody has used one yet."""
    theirs = Settings(home=tmp_path_factory.mktemp("stock"), cache=runtime.settings.cache)
    overrides = {
        "group.min.session.timeout.ms": "6000",
        "group.initial.rebalance.delay.ms": "3000",
        "offsets.topic.num.partitions": "50",
    }
    embedded = background.private(theirs, 1, overrides)
    yield embedded
    embedded.destroy()


@pytest.fixture
def anna(stock, monkeypatch, elsewhere) -> Settings:
    """A learner there."""
    monkeypatch.setenv("LAB_KAFKA", stock.bootstrap)
    monkeypatch.setenv("LAB_LEARNER", "anna")
    yield Settings.from_environment()
    session.close()


def test_whether_short_sessions_are_taken_is_found_out(stock, cluster):
    """Without joining: no group is left, whatever the answer."""
    with Cluster(stock.bootstrap, prefix="lab-anna-") as there:
        assert not session_limit.takes(there.connection, "lab-anna-00-probe")
        assert session_limit.takes(there.connection, "lab-anna-00-probe", 6_000)
        assert there.groups("lab-anna-00") == []
    assert session_limit.takes(cluster.connection, "00-probe")


def test_a_lesson_with_short_sessions_runs_on_a_broker_of_its_own_and_says_so(anna, stock, capsys):
    """Its members would be refused there; another lesson stays there."""
    with Cluster(stock.bootstrap, prefix="lab-anna-") as there:
        topic = there.create_topic("lab-anna-05-refused")
        refused = pytest.raises(LabError, match=InvalidSessionTimeoutError.__name__)
        with members.managed(there, topic, "lab-anna-05-refused") as team, refused:
            team.start("A")
    mine = session.lesson("05")
    assert f"The Kafka at {stock.bootstrap} refuses sessions of 1 s" in capsys.readouterr().err
    assert mine.embedded
    orders = mine.topic("orders", partitions=2)
    with mine.members(orders, mine.group("service")) as team:
        team.start("A", "B")
        assert sorted(team.owners) == ["A", "B"]
    assert not session.lesson("04").embedded


def test_the_lesson_for_operators_runs_on_a_broker_of_its_own_and_says_so(anna, stock, capsys):
    """A learner may neither list nor end the transactions of others."""
    assert session.lesson("17").embedded
    assert "does what operators may" in capsys.readouterr().err
    assert _lessons_with(r"admin\.(list_transactions|abort_transaction)\(") == {*session.FOR_OPERATORS}


def test_the_tour_too(anna, stock, lab):
    """It has members."""
    run = lab("tour", LAB_KAFKA=stock.bootstrap, LAB_LEARNER="anna")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "refuses sessions of 1 s" in run.stderr
    assert "Apache Kafka" in run.stdout


def test_the_lessons_with_members_are_known():
    """They are the ones whose notebooks have them."""
    assert {*session.SHORT_SESSIONS} == _lessons_with(r"(lab|kafka)\.members\(")


def _lessons_with(pattern: str) -> set[str]:
    lessons = (CHECKOUT / "notebooks").glob("*.ipynb")
    return {path.name[:2] for path in lessons if re.search(pattern, path.read_text(encoding="utf-8"))}


def test_a_learner_holds_the_topics_of_one_lesson_only(anna, stock):
    """Opening a lesson clears the earlier ones; not somebody else's names, and not a lesson open in another kernel."""
    with Cluster(stock.bootstrap, prefix="lab-anna-") as there, Cluster(stock.bootstrap, prefix="lab-bela-") as theirs:
        for number in ("00", "02", "03"):
            there.create_topic(f"lab-anna-{number}-orders")
        theirs.create_topic("lab-bela-00-orders")
        there.admin().create_topics({"lab-anna-progress": {"num_partitions": 1, "replication_factor": 1}})
        there.admin().wait_for_topics(["lab-anna-progress"])
        other = lab_module.Lab("03", there, anna)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(open_lessons, "elsewhere", lambda _: {"03"})
            session.lesson("04")
        left = ["lab-anna-03-orders", "lab-anna-progress", "lab-bela-00-orders"]
        assert [name for name in Cluster(stock.bootstrap).topics("lab-") if "-05-" not in name] == left
        other.close()


def test_a_dead_letter_topic_asks_for_no_more_than_managed_clusters_take(anna, stock):
    """Ten times as large as a record may be is more than 8 MiB."""
    mine = session.lesson("09")
    dead = mine.dead_letters(mine.topic("orders"))
    resource = ConfigResource(ConfigResourceType.TOPIC, dead)
    found = mine.admin().describe_configs([resource], config_filter="all")["topic"][dead]
    assert int(found["max.message.bytes"]["value"]) == LARGEST_ELSEWHERE
    assert mine.connection == Connection(stock.bootstrap)
