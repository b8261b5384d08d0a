"""The lab's own brokers: starting, stopping, killing, freezing them."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from labsupport.broker import background, processes, startup_cache
from labsupport.broker.cluster import Cluster, connect, private
from labsupport.broker.embedded import EmbeddedCluster, known_brokers, recorded_cluster
from labsupport.broker.java_runtime import install, intact, prepare
from labsupport.broker.metadata import ask
from labsupport.broker.process import Process
from labsupport.broker.server_properties import STEADY, server_properties
from labsupport.errors import LabError
from labsupport.ports import HOST
from labsupport.settings import Settings
from labsupport.waiting import until


def send(cluster: Cluster, topic: str, *values: bytes) -> None:
    """Send values and wait until the broker has acknowledged each."""
    producer = cluster.producer(name="test-producer")
    for future in [producer.send(topic, value) for value in values]:
        future.get(timeout=300)


def read(cluster: Cluster, topic: str) -> list[bytes]:
    """Every value of partition 0, from the beginning to the end offset."""
    consumer = cluster.consumer(name="test-reader")
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning()
    end = consumer.end_offsets([partition])[partition]
    values: list[bytes] = []

    def all_read() -> bool:
        values.extend(r.value for records in consumer.poll(timeout_ms=200).values() for r in records)
        return consumer.position(partition) >= end

    until(all_read, 300, f"{end} records of {topic}")
    return values


def test_an_embedded_broker_serves_and_leaves_nothing_behind(settings, runtime):
    """A private broker takes and returns records; after the `with` its process and its folder are gone."""
    with private(settings=settings) as kafka:
        pid, folder = kafka.broker(1).process.pid, kafka.embedded.folder
        topic = kafka.create_topic("90-private")
        send(kafka, topic, b"a", b"b")
        assert read(kafka, topic) == [b"a", b"b"]
    assert pid not in [each.process.pid for each in processes.running(settings)]
    assert not folder.exists()


def test_records_survive_the_killing_of_the_broker(settings):
    """SIGKILL, start again: every acknowledged record is there, at the same address."""
    with private(settings=settings) as kafka:
        topic = kafka.create_topic("90-killed")
        send(kafka, topic, *[b"%d" % number for number in range(100)])
        before = kafka.bootstrap
        kafka.broker(1).kill()
        assert kafka.broker(1).state == "stopped"
        assert known_brokers(kafka.broker(1).port) == set()
        kafka.broker(1).start()
        assert kafka.embedded.bootstrap == before
        assert read(kafka, topic) == [b"%d" % number for number in range(100)]


def test_three_brokers_know_each_other_and_one_of_them_can_go(settings):
    """A topic has three copies; with one broker killed a write is still acknowledged, and the broker comes back."""
    with private(3, settings=settings) as kafka:
        for number in (1, 2, 3):
            until(lambda number=number: known_brokers(kafka.broker(number).port) == {1, 2, 3}, 300, "all to be known")
        topic = kafka.create_topic("90-three", min_insync_replicas=2)
        (described,) = kafka.admin().describe_topics([topic])
        assert sorted(described["partitions"][0]["replica_nodes"]) == [1, 2, 3]
        kafka.broker(described["partitions"][0]["leader_id"]).kill()
        send(kafka, topic, b"written by two")
        kafka.broker(described["partitions"][0]["leader_id"]).start()
        assert read(kafka, topic) == [b"written by two"]
        with pytest.raises(LabError, match="There is no broker 4"):
            kafka.broker(4)


def test_the_controller_can_be_a_process_of_its_own(settings):
    """One controller and three brokers, whatever LAB_KAFKA says. It stops, dies and freezes as a broker does.

    Without it records are written and read, and a broker that is started gets a sentence.
    """
    with private(3, replace(settings, kafka="127.0.0.1:1"), controller=True, **STEADY) as kafka:
        boss = kafka.controller()
        assert [node.role for node in kafka.embedded.nodes] == ["controller", "broker", "broker", "broker"]
        assert [known_brokers(broker.port) for broker in kafka.embedded.brokers] == [{1, 2, 3}] * 3
        assert boss.port not in {int(address.rpartition(":")[2]) for address in kafka.bootstrap.split(",")}
        topic = kafka.create_topic("90-four")
        producer = kafka.producer(name="before")  # it has its id: a new one may have to wait for the controller
        producer.send(topic, b"first").get(timeout=300)
        for break_it, state in (boss.kill, "stopped"), (boss.pause, "paused"), (boss.stop, "stopped"):
            break_it()
            assert boss.state == state
            producer.send(topic, state.encode()).get(timeout=300)
            if state == "stopped":
                again = Process.recorded(kafka.broker(3).folder / "process.json")
                kafka.broker(3).start()  # harmless: it runs
                assert again == kafka.broker(3).process
            boss.start()
            assert boss.state == "running"
        assert read(kafka, topic) == [b"first", b"stopped", b"paused", b"stopped"]
        kafka.create_topic("91-four")  # the controller has a say again
        kafka.broker(3).stop()
        boss.kill()
        with pytest.raises(LabError, match=r"Broker 3 cannot come back now") as caught:
            kafka.broker(3).start()
        assert "0 of 1" in caught.value.seen
        assert "start the controller first" in caught.value.next_step
        found = EmbeddedCluster(kafka.embedded.folder, kafka.embedded.runtime)  # as another program finds it
        assert (found.controller.number, len(found.brokers), found.bootstrap) == (4, 3, kafka.embedded.bootstrap)
    assert not [each for each in processes.running(settings) if each.role == "private"]


def test_a_broker_that_is_a_controller_comes_back_with_a_majority(settings):
    """All three have a vote: the first, alone, is refused at once and before it runs; all together come back."""
    with private(3, settings, **STEADY) as kafka:
        with pytest.raises(LabError, match="no controller of its own"):
            kafka.controller()
        topic = kafka.create_topic("90-majority")
        send(kafka, topic, b"kept")
        kafka.embedded.kill()
        with pytest.raises(LabError, match="cannot come back now") as caught:
            kafka.broker(1).start()
        assert "1 of 3" in caught.value.seen
        assert kafka.broker(1).state == "stopped"
        kafka.embedded.start()
        assert read(kafka, topic) == [b"kept"]


def test_clients_follow_brokers_that_come_back_at_other_ports(settings):
    """All brokers were down, and a program took the port of one: they are at others, and so is every new client."""
    with private(settings=settings) as kafka, contextlib.closing(socket.socket()) as thief:
        topic = kafka.create_topic("90-moved")
        send(kafka, topic, b"kept")
        before = kafka.broker(1).port
        kafka.broker(1).kill()
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind((HOST, before))
        thief.listen()
        kafka.embedded.start()
        assert kafka.broker(1).port != before
        assert kafka.bootstrap == f"{HOST}:{kafka.broker(1).port}"
        assert read(kafka, topic) == [b"kept"]


def test_a_client_begins_with_a_broker_that_answers(settings):
    """Two of three are frozen: whichever addresses a client draws first, it is there at once."""
    with private(3, settings, controller=True, **STEADY) as kafka:
        for number in 1, 2:
            kafka.broker(number).pause()
        for number in range(5):
            consumer = kafka.consumer(name=f"client {number}")
            assert consumer.config["bootstrap_servers"] == [f"{HOST}:{kafka.broker(3).port}"]
        assert len(kafka.connection.addresses) == 3


def test_topics_are_made_and_listed_whichever_broker_is_gone(settings):
    """The admin client that knew the dead one, and perhaps no other, is replaced by a new one."""
    with private(3, settings, controller=True, **STEADY) as kafka:
        made = [kafka.create_topic("90-all")]
        admin = kafka.admin()
        assert kafka.admin() is admin
        for number in 1, 2:
            kafka.broker(number).kill()
            until(lambda number=number: number not in known_brokers(kafka.broker(3).port), 300, "it to be fenced")
            with contextlib.suppress(KafkaError):
                kafka.topics()  # the client learns who is left
            made.append(kafka.create_topic(f"9{number}-left", replicas=[3]))
        kafka.broker(1).start()
        kafka.broker(3).kill()
        assert kafka.topics() == made
        assert kafka.admin() is not admin


def test_too_little_memory_for_the_brokers_is_said_before_any_starts(settings, monkeypatch):
    """Four processes: the sentence has both numbers, in MB."""
    monkeypatch.setattr(background, "NODE_NEEDS", psutil.virtual_memory().total)
    with pytest.raises(LabError, match="for 4 Java processes") as caught, private(3, settings, controller=True):
        pass
    assert re.fullmatch(r"free: [\d,]+ MB; needed: [\d,]+ MB", caught.value.seen)
    assert not [each for each in processes.running(settings) if each.role == "private"]


def test_a_broker_that_cannot_start_shows_the_end_of_its_log(settings):
    """A wrong setting: the error quotes what Kafka says of it, at once and not after the deadline."""
    with (
        pytest.raises(LabError, match="Broker 1 did not start") as caught,
        private(settings=settings, log_retention_hours="soon"),
    ):
        pass
    assert "soon" in caught.value.seen
    assert "server.log" in caught.value.next_step
    assert not [each for each in processes.running(settings) if each.role == "private"]


@pytest.mark.parametrize("name", ["with space", "Übung, größer", "long " + "x" * 60])
def test_any_path_will_do(name, settings, tmp_path):
    """Spaces, umlauts, commas and very long paths, under the C locale that containers have."""
    home = tmp_path / name
    while name.startswith("long") and len(str(home)) < 400:
        home /= name
    with private(settings=replace(settings, home=home)) as kafka:
        topic = kafka.create_topic("90-path")
        send(kafka, topic, b"x")
        assert read(kafka, topic) == [b"x"]
        kafka.broker(1).kill()
        kafka.broker(1).start()
        assert read(kafka, topic) == [b"x"]


def test_jars_under_a_path_with_an_umlaut_work_under_the_c_locale(settings, runtime, tmp_path, python):
    """Java decodes file names by the locale, so the lab gives it one that can."""
    stick = runtime.class_path[0].parent
    code = "from labsupport.broker.cluster import private\nwith private() as kafka: print(kafka.topics())"
    folders = {"LAB_HOME": str(tmp_path / "hÖme"), "LAB_CACHE": str(tmp_path / "cäche"), "LAB_OFFLINE": str(stick)}
    run = python(code, LC_ALL="C", LANG="C", **folders)
    assert run.stdout == "[]\n", run.stderr


def test_port_9092_is_preferred_and_any_other_will_do(settings, runtime, tmp_path):
    """If 9092 is taken, by whatever, the broker takes a free port; it keeps that port when started again."""
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        cluster = EmbeddedCluster(tmp_path / "c", runtime, ports=[busy])
        try:
            cluster.start()
            chosen = cluster.brokers[0].port
            assert chosen != busy
            cluster.stop()
            cluster.start()
            assert cluster.brokers[0].port == chosen
        finally:
            cluster.destroy()
    free = EmbeddedCluster(tmp_path / "d", runtime, ports=[busy])
    try:
        free.start()
        assert free.brokers[0].port == busy
    finally:
        free.destroy()


def test_a_port_taken_at_the_last_moment_is_chosen_anew(runtime, tmp_path, monkeypatch):
    """A program takes the port between the lab's look and the broker's start: it starts on another one."""
    thief = socket.socket()
    real = EmbeddedCluster._choose_ports

    def choose_and_lose(self):
        real(self)
        if thief.fileno() != -1 and not thief.getsockname()[1]:
            thief.bind(("127.0.0.1", self.brokers[0].port))
            thief.listen()

    monkeypatch.setattr(EmbeddedCluster, "_choose_ports", choose_and_lose)
    cluster = EmbeddedCluster(tmp_path / "c", runtime)
    try:
        cluster.start()
        assert cluster.brokers[0].port != thief.getsockname()[1]
    finally:
        cluster.destroy()
        thief.close()


def test_another_labs_broker_on_the_same_port_is_not_taken_for_ours(runtime, tmp_path, monkeypatch):
    """Two labs that start at the same moment choose one port: the one that does not get it takes another."""
    first, second = EmbeddedCluster(tmp_path / "a", runtime), EmbeddedCluster(tmp_path / "b", runtime)
    real = EmbeddedCluster._choose_ports
    chosen = []

    def choose_the_firsts(self):
        chosen.append(real(self))
        if len(chosen) == 1:
            self.ports[1] = (first.brokers[0].port, self.ports[1][1])

    try:
        first.start()
        monkeypatch.setattr(EmbeddedCluster, "_choose_ports", choose_the_firsts)
        second.start()
        assert len(chosen) == 2
        for cluster in (first, second):
            assert ask("127.0.0.1", cluster.brokers[0].port).cluster_id == cluster.id
    finally:
        first.destroy()
        second.destroy()


def test_the_address_is_on_the_loopback_interface_only(cluster):
    """What the broker tells clients to connect to is 127.0.0.1, and no other interface listens."""
    host, port = cluster.bootstrap.split(":")
    assert ask(host, int(port)).brokers == {1: ("127.0.0.1", int(port))}
    process = psutil.Process(cluster.broker(1).process.pid)
    listening = {c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"}
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}


ENSURE = """
from labsupport.settings import Settings
from labsupport.broker import background
cluster, started = background.ensure(Settings.from_environment())
print(cluster.bootstrap, started)
"""


def test_programs_that_start_the_broker_at_the_same_moment_get_the_same_one(elsewhere):
    """Four at once: one starts it, all have its address, one process runs."""
    programs = [
        subprocess.Popen([sys.executable, "-c", ENSURE], stdout=subprocess.PIPE, env=os.environ, text=True)
        for _ in range(4)
    ]
    answers = [program.communicate(timeout=300)[0].split() for program in programs]
    assert len({address for address, _ in answers}) == 1
    assert sorted(started for _, started in answers) == ["False", "False", "False", "True"]
    assert [each.role for each in processes.running(elsewhere)].count("background") == 1


def test_a_broker_killed_in_use_is_started_again_with_its_data(elsewhere):
    """The next one who needs it gets it back; its topics are there."""
    with connect(elsewhere) as first:
        topic = first.create_topic("91-kept")
        send(first, topic, b"kept")
        first.broker(1).kill()
    with connect(elsewhere) as second:
        assert read(second, topic) == [b"kept"]


def test_a_frozen_broker_is_woken_by_the_next_one_who_needs_it(elsewhere):
    """A kernel that died inside `paused()` leaves it frozen."""
    with connect(elsewhere) as first:
        first.broker(1).pause()
        pid = first.broker(1).process.pid
    with connect(elsewhere) as second:
        assert second.topics() == []
        assert second.broker(1).process.pid == pid


def test_a_stale_record_does_not_touch_the_process_that_has_the_pid_now(elsewhere):
    """The recorded pid belongs to a stranger: a new broker is started, and the stranger lives on."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        record = elsewhere.home / "broker" / "1" / "process.json"
        with connect(elsewhere) as kafka:
            kafka.broker(1).kill()
        Process("broker 1", stranger.pid, "1", record).record(record)
        with connect(elsewhere) as kafka:
            assert kafka.broker(1).process.pid != stranger.pid
            kafka.broker(1).stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_broker_without_its_record_does_not_stand_in_the_way(elsewhere):
    """Its record was deleted, or its starter killed before writing it: the next one who needs a broker gets one."""
    with connect(elsewhere) as first:
        lost = first.broker(1).process
        (elsewhere.home / "broker" / "1" / "process.json").unlink()
    with connect(elsewhere) as second:
        assert second.broker(1).process.pid != lost.pid
    assert not lost.alive


RECORDS = [None, "", "[]", '{"id": "x"}', '{"id": "x", "ports": {"1": [9]}}', '{"id": "x", "ports": {"a": "b"}}']


@pytest.mark.parametrize("text", RECORDS)
def test_a_damaged_record_names_no_ports_and_the_storage_has_the_id(text, tmp_path):
    """Deleted, empty, or with something missing or of another type."""
    (tmp_path / "1" / "data").mkdir(parents=True)
    (tmp_path / "1" / "data" / "meta.properties").write_text("version=1\ncluster.id=stored\n")
    if text is not None:
        (tmp_path / "cluster.json").write_text(text)
    assert recorded_cluster(tmp_path) == ("stored", {})


@pytest.mark.parametrize("text", [None, RECORDS[-1]])
def test_a_damaged_record_of_the_cluster_does_not_stand_in_the_way(text, elsewhere):
    """Deleted or garbled under a running broker: that one is stopped, and the next has its data."""
    with connect(elsewhere) as first:
        topic = first.create_topic("91-kept")
        send(first, topic, b"kept")
        record = elsewhere.home / "broker" / "cluster.json"
        if text is None:
            record.unlink()
        else:
            record.write_text(text)
    with connect(elsewhere) as second:
        assert read(second, topic) == [b"kept"]
    assert len(processes.running(elsewhere, ["background"])) == 1


@pytest.mark.parametrize("size", [0, 6, "2", None])
def test_a_private_cluster_has_a_sensible_size(size, settings):
    """Refused before anything is started."""
    with pytest.raises(LabError, match="cannot be started"), private(size, settings):
        pass


def test_what_a_dead_program_left_is_swept_and_a_living_ones_stays(elsewhere, python):
    """The watchdog or the next lesson, whichever comes first, removes its private brokers and their folders."""
    with private(settings=elsewhere) as mine:
        python("import os; from labsupport.broker.cluster import private; p = private(); p.__enter__(); os._exit(9)")
        processes.sweep(elsewhere)
        assert [each.process.pid for each in processes.running(elsewhere, ["private"])] == [mine.broker(1).process.pid]
        assert list((elsewhere.home / "private").iterdir()) == [mine.embedded.folder]
        assert mine.topics() == []


def test_a_damaged_cache_is_made_anew(settings, runtime, tmp_path):
    """Format template and start-up cache carry a digest: a damaged one would crash Kafka or Java at every start."""
    own = replace(settings, home=tmp_path / "home", cache=tmp_path / "cache", offline=runtime.class_path[0].parent)
    fresh = prepare(own)
    fresh.template.write_bytes(b"x" * 411)
    (tmp_path / "made").write_bytes(os.urandom(1000))
    install(tmp_path / "made", fresh.startup_cache)
    assert prepare(own).trained
    fresh.startup_cache.write_bytes(os.urandom(1000))
    repaired = prepare(own)
    assert intact(repaired.template)
    assert not repaired.trained
    assert startup_cache.needed(repaired)
    with private(settings=own) as kafka:
        assert kafka.topics() == []


def test_a_training_run_that_is_stopped_or_killed_leaves_nothing(settings, runtime, tmp_path):
    """SIGTERM: it tidies up itself. SIGKILL: its broker ends with it, and the next run deletes its files."""
    own = replace(settings, home=tmp_path / "home", cache=tmp_path / "cache", offline=runtime.class_path[0].parent)
    for how in ("stop", "kill"):
        process = startup_cache.start_in_background(prepare(own))
        until(lambda: processes.running(own, ["training-broker"]), 300, "the training broker")
        getattr(process, how)()
        if how == "kill":
            until(lambda: not processes.running(own, ["training-broker"]), 300, "its broker to end", every=0.1)
        assert processes.running(own) == []
    assert not list(own.cache.glob("*.new*"))
    assert not list(own.cache.glob("*.failed"))


def test_the_marks_as_words_of_another_program_are_not_marks(elsewhere):
    """A `grep` for them, or a program that has them as arguments, is neither shown nor stopped."""
    words = processes.marks(elsewhere, "background")
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", *words])
    try:
        assert background.stop_all(elsewhere) == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    assert processes.read_marks(["java", *processes.java_marks(elsewhere, "private")])["lab.role"] == "private"
    assert (
        processes.read_marks(["python", *processes.python_marks(elsewhere, "jupyter"), "-m"])["lab.role"] == "jupyter"
    )
    assert processes.read_marks(["java", "-Dlab.home=1", "-Dlab.role=private", "-Dlab.owner=x"]) == {}
    assert processes.read_marks(["java", "-Dlab.home=1", "-Dlab.role=other", "-Dlab.owner=1:2"]) == {}


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_said_with_the_end_of_the_log(settings, tmp_path):
    """The broker cannot write its storage: the error quotes `No space left on device`, and nothing keeps running."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a file system")
    try:
        with (
            pytest.raises(LabError, match="Could not write") as caught,
            private(settings=replace(settings, home=small)),
        ):
            pass
        assert "No space left on device" in caught.value.seen
        assert "free some space" in caught.value.next_step
        assert not processes.running(replace(settings, home=small))
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_an_interrupted_start_leaves_no_broker(elsewhere):
    """Ctrl-C while the broker starts: its process is gone, and the next start works."""
    program = subprocess.Popen([sys.executable, "-c", ENSURE], env=os.environ, stderr=subprocess.DEVNULL)
    until(lambda: processes.running(elsewhere), 300, "the broker's process")
    program.send_signal(signal.SIGINT)
    assert program.wait(300) != 0
    assert processes.running(elsewhere) == []
    with connect(elsewhere) as kafka:
        assert kafka.topics() == []


def test_settings_of_another_java_program_do_not_reach_the_broker(settings, monkeypatch):
    """JAVA_TOOL_OPTIONS and JDK_JAVA_OPTIONS of the shell would change or stop it."""
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1m")
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-Xmx1m")
    with private(settings=settings) as kafka:
        assert kafka.topics() == []


def test_the_start_up_cache_is_made_once_and_used(runtime, settings, python):
    """After the training run a broker names the cache on its command line; training again does nothing."""
    run = python("import runpy; runpy.run_module('labsupport.broker.startup_cache', run_name='__main__')", timeout=180)
    assert run.returncode == 0, run.stderr
    before = runtime.startup_cache.stat().st_mtime
    assert f"-XX:AOTCache={runtime.startup_cache}" in runtime.command(marks=[])
    assert (
        python("import runpy; runpy.run_module('labsupport.broker.startup_cache', run_name='__main__')").returncode == 0
    )
    assert runtime.startup_cache.stat().st_mtime == before
    with private(settings=Settings(home=settings.home, cache=settings.cache)) as kafka:
        assert "[warning][aot]" not in kafka.broker(1).log_tail(500)


def test_a_broker_alone_writes_nothing_while_nothing_happens():
    """Where others follow it, or it follows a controller, records of no meaning show that the leader lives."""
    quiet = "metadata.max.idle.interval.ms=0\n"
    assert quiet in server_properties(1, {1: (9092, 9093)}, {})
    assert quiet not in server_properties(1, {1: (9092, 0), 2: (0, 9093)}, {})
    assert quiet not in server_properties(1, {number: (9090 + number, 9190 + number) for number in (1, 2, 3)}, {})
