"""The JMX exporter in running brokers: attached once, asked while they are frozen and dead."""

import dataclasses
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from labsupport.broker import background, jars
from labsupport.broker.cluster import Cluster, connect, private
from labsupport.errors import LabError
from labsupport.experiments.breaking import broker_roles, faults
from labsupport.experiments.breaking.broker_roles import CONTROLLER, FOLLOWER, LEADER
from labsupport.observability import jmx_agent
from labsupport.observability.jmx_agent import (
    ACTIVE_CONTROLLER,
    ANSWERED,
    FENCED,
    ISR_SHRINKS,
    REFUSED,
    SCRAPE,
    TIMED_OUT,
    UNDER_REPLICATED,
)


@pytest.fixture(scope="module")
def kafka(settings, tmp_path_factory):
    """A broker in a home whose path has blanks and umlauts, with a record in a topic."""
    home = dataclasses.replace(settings, home=tmp_path_factory.mktemp("Föhn und Eis"))
    with private(1, home) as kafka:
        topic = kafka.create_topic("97-orders")
        kafka.producer(name="shop").send(topic, b"v").get(timeout=300)
        yield kafka


def test_a_page_with_the_names_of_the_exporters_examples(kafka):
    """One record came in, its partition has one replica, and this broker is the active controller."""
    url = jmx_agent.attach(kafka.broker())
    samples = jmx_agent.scrape(url)
    found = {(sample.name, sample.labels): sample.value for sample in samples}
    assert found[ACTIVE_CONTROLLER, ""] == 1
    assert {found[name, ""] for name in (FENCED, UNDER_REPLICATED, ISR_SHRINKS)} == {0}
    assert found["kafka_server_brokertopicmetrics_messagesin_total", 'topic="97-orders"'] == 1
    assert found["kafka_cluster_partition_insyncreplicascount", 'partition="0",topic="97-orders"'] == 1
    assert found["kafka_log_log_logendoffset", 'partition="0",topic="97-orders"'] == 1
    assert found["kafka_network_requestmetrics_totaltimems", 'quantile="0.99",request="Produce"'] > 0
    assert len(samples) < 400  # of all beans they are ten thousand, which takes a broker seconds


def test_attached_twice_it_is_the_same_page(kafka, python, monkeypatch):
    """Also from another program, and at once: a second agent would end the broker."""
    monkeypatch.setenv("LAB_HOME", str(kafka.embedded.runtime.settings.home))
    broker = kafka.broker()
    process, url = broker.process, jmx_agent.attach(broker)
    with ThreadPoolExecutor() as pool:
        assert set(pool.map(jmx_agent.attach, [broker] * 4)) == {url}
    other = python(
        "from pathlib import Path\n"
        "from labsupport.broker.embedded import EmbeddedCluster\n"
        "from labsupport.broker.java_runtime import prepare\n"
        "from labsupport.observability import jmx_agent\n"
        "from labsupport.settings import Settings\n"
        f"cluster = EmbeddedCluster(Path({str(kafka.embedded.folder)!r}), prepare(Settings.from_environment()))\n"
        "print(jmx_agent.attach(cluster.brokers[0]))\n"
    )
    assert other.stdout.strip() == url, other.stderr
    assert broker.process == process


def test_an_attachment_that_was_interrupted_is_not_made_again():
    """The agent may still be coming up: the next `attach` waits for its page instead of loading it once more."""
    with private() as kafka:
        broker, pages = kafka.broker(), []
        process, mark = broker.process, broker.folder / jmx_agent.MARK
        process.record(mark)  # so far came a program that was killed
        waiting = threading.Thread(target=lambda: pages.append(jmx_agent.attach(broker)))
        waiting.start()
        jmx_agent._load(broker, process, mark)  # its agent comes up
        waiting.join()
        (page,) = pages
        assert jmx_agent.numbers({1: page})[1][SCRAPE] == ANSWERED
        assert broker.process == process


def test_after_a_restart_there_is_a_new_page_and_no_left_over(kafka):
    """A killed broker's page is refused; started again, the broker has no agent until it is attached."""
    broker = kafka.broker()
    url, pid = jmx_agent.attach(broker), broker.process.pid
    broker.kill()
    with pytest.raises(ConnectionError):
        jmx_agent.scrape(url)
    with pytest.raises(LabError, match="broker is stopped"):
        jmx_agent.attach(broker)
    for folder in {Path("/tmp"), Path(tempfile.gettempdir())}:
        assert not (folder / f".java_pid{pid}").exists()
    broker.start()
    assert jmx_agent._port(broker, broker.process) is None
    assert jmx_agent.numbers({1: jmx_agent.attach(broker)})[1][SCRAPE] == ANSWERED


def test_a_page_asked_while_its_broker_stops(kafka):
    """It answers, or is refused: nothing else comes of it. At the end it is refused."""
    broker, seen = kafka.broker(), []
    page = {1: jmx_agent.attach(broker)}
    stopping = threading.Thread(target=broker.stop)
    stopping.start()
    while stopping.is_alive():
        seen.append(jmx_agent.numbers(page)[1][SCRAPE])
    assert set(seen) <= {ANSWERED, REFUSED, TIMED_OUT}
    assert jmx_agent.numbers(page)[1][SCRAPE] == REFUSED
    broker.start()


def test_a_frozen_broker_is_refused(kafka):
    """It could not let the agent in."""
    with faults.paused(kafka.broker()), pytest.raises(LabError, match="broker is paused") as caught:
        jmx_agent.attach(kafka.broker())
    assert "start()" in caught.value.next_step


def test_the_shared_broker_has_a_page_too(elsewhere):
    """It is the lab's own; its page ends with it."""
    with connect(elsewhere) as shared:
        ((number, url),) = jmx_agent.attach_all(shared).items()
        assert number == 1
        assert jmx_agent.numbers({1: url})[1][SCRAPE] == ANSWERED
        background.stop_all(elsewhere)
        assert jmx_agent.numbers({1: url})[1].tolist() == [REFUSED, "–", "–", "–", "–"]


def test_nothing_is_attached_to_a_foreign_broker(broker_elsewhere):
    """The sentence says whose task it is."""
    with Cluster(broker_elsewhere.bootstrap) as foreign, pytest.raises(LabError, match="own brokers only") as caught:
        jmx_agent.attach_all(foreign)
    assert "operator" in caught.value.next_step


def test_a_jar_that_is_not_to_be_had_leaves_the_broker_alone(kafka, settings, tmp_path):
    """Without the jar there is a sentence, and nothing is loaded; with it the same broker can be attached."""
    with private(1, dataclasses.replace(settings, home=tmp_path)) as own:
        broker, runtime = own.broker(), own.embedded.runtime
        nowhere = dataclasses.replace(settings, cache=tmp_path / "cache", offline=tmp_path)
        own.embedded.runtime = dataclasses.replace(runtime, settings=nowhere)
        with pytest.raises(LabError, match="the JMX exporter, is missing"):
            jmx_agent.attach(broker)
        own.embedded.runtime = runtime
        assert jmx_agent.numbers({1: jmx_agent.attach(broker)})[1][SCRAPE] == ANSWERED


def test_which_numbers_move_when_a_broker_is_frozen_or_killed():
    """Fenced, under-replicated, absent; and ISR shrinks stay 0, because the controller takes the replica out."""

    def moved(now) -> dict[str, tuple[str, ...]]:
        return {name: tuple(now.loc[name]) for name in now.index}

    with private(3, **broker_roles.STEADY) as kafka:
        three = broker_roles.assign(kafka, "97-orders")
        assert list(three.pages) == [CONTROLLER, LEADER, FOLLOWER]
        well = moved(three.until_whole())
        assert well == {
            SCRAPE: (ANSWERED,) * 3,
            FENCED: ("0",) * 3,
            UNDER_REPLICATED: ("0",) * 3,
            ACTIVE_CONTROLLER: ("1", "0", "0"),
            ISR_SHRINKS: ("0",) * 3,
        }
        with faults.paused(three.brokers[FOLLOWER]):
            assert moved(three.until_fenced(FOLLOWER)) == {
                SCRAPE: (ANSWERED, ANSWERED, TIMED_OUT),
                FENCED: ("1", "1", "–"),
                UNDER_REPLICATED: ("0", "1", "–"),
                ACTIVE_CONTROLLER: ("1", "0", "–"),
                ISR_SHRINKS: ("0", "0", "–"),
            }
        assert moved(three.until_whole()) == well
        three.brokers[LEADER].kill()
        assert moved(three.until_fenced(LEADER)) == {
            SCRAPE: (ANSWERED, REFUSED, ANSWERED),
            FENCED: ("1", "–", "1"),
            UNDER_REPLICATED: ("0", "–", "1"),
            ACTIVE_CONTROLLER: ("1", "–", "0"),
            ISR_SHRINKS: ("0", "–", "0"),
        }


class Listener:
    """Listens on a free port and answers one connection with these bytes; None: with nothing, for ever."""

    def __init__(self, answer: bytes | None):
        self.socket, self.answer = socket.create_server(("127.0.0.1", 0)), answer
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/metrics"
        if answer is not None:
            threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        connection, _ = self.socket.accept()
        with connection:
            connection.recv(10_000)
            connection.sendall(self.answer)

    def close(self):
        self.socket.close()


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nx 1"


def test_a_scrape_tells_silence_from_an_end():
    """Silent: timed out. Ended before or in the middle of its answer: refused."""
    for answer, how in [
        (None, TIMED_OUT), (b"", REFUSED), (WHOLE[:-1], REFUSED), (b"HTTP/1.1 200 OK\r\nConte", REFUSED)
    ]:  # fmt: skip
        with closing(Listener(answer)) as listener:
            assert jmx_agent.numbers({"A": listener.url}, ["x"], limit=0.2)["A"].tolist() == [how, "–"], answer
    with closing(Listener(WHOLE)) as listener:
        assert jmx_agent.numbers({"A": listener.url}, ["x"])["A"].tolist() == [ANSWERED, "1"]


@pytest.mark.parametrize(
    "answer",
    [
        b"no HTTP\r\n",
        WHOLE.replace(b"x 1", b"<p>"),
        WHOLE.replace(b"200 OK", b"404 No"),
        WHOLE.replace(b"x 1", b"\xff\xff\xff"),
    ],
)
def test_what_is_no_page_of_metrics_is_named(answer):
    """Another protocol, HTML, an error, no text."""
    with closing(Listener(answer)) as listener, pytest.raises(LabError, match="no page of metrics"):
        jmx_agent.scrape(listener.url)


def test_the_agent_is_pinned_like_kafkas_jars():
    """One jar, by size and SHA-256."""
    (jar,) = jars.pinned(jmx_agent.LOCK)
    assert (jar.artifact, len(jar.sha256)) == ("jmx_prometheus_javaagent", 64)
