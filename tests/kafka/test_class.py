"""A class on one Kafka: users, rights and limits, the board; and two learners against each other."""

import contextlib
import os
import re
import stat
import threading
from pathlib import Path

import pytest
from confluent_kafka import Producer
from kafka import KafkaConsumer, errors
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from labsupport import client_properties
from labsupport.broker import processes
from labsupport.broker.cluster import Cluster, connect
from labsupport.broker.metadata import ask, reach
from labsupport.classroom import class_broker, outcomes, users
from labsupport.connection import Connection, Secret
from labsupport.course import board, session
from labsupport.delivery import reading
from labsupport.errors import LabError, RefusedError
from labsupport.ports import free_port
from labsupport.settings import Settings

LEARNERS = ["anna", "bela", *(f"learner_{number}" for number in range(38))]


class Class:
    """A class with forty learners: its home, its files, and the Kafka of its teacher."""

    def __init__(self, settings: Settings, folder: Path):
        self.settings, self.folder, self.list = settings, folder / "files", folder / "class.txt"
        self.broker = class_broker.start(settings, "localhost", free_port())
        self.list.write_text("".join(f"{name}\n" for name in LEARNERS))

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.properties"

    def teacher(self) -> Cluster:
        return Cluster(self.broker.teacher, prefix="lab-")

    def learner(self, name: str) -> Settings:
        return Settings.from_environment({**os.environ, "LAB_KAFKA_CONFIG": str(self.file(name))})


@pytest.fixture(scope="module")
def home(runtime, tmp_path_factory):
    """The teacher's home; the broker is stopped after the tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(tmp_path_factory.mktemp("teacher") / "home"))
        settings = Settings.from_environment()
        yield settings
        session.close()
        processes.stop(processes.running(settings))


@pytest.fixture(scope="module")
def school(home, tmp_path_factory) -> Class:
    """Forty learners have been added."""
    from click.testing import CliRunner

    from labsupport.commands.main import lab

    made = Class(home, tmp_path_factory.mktemp("class"))
    run = CliRunner().invoke(lab, ["class", "add", str(made.list), "--to", str(made.folder)], catch_exceptions=False)
    assert "40 new users, 0 as before" in run.output
    return made


@pytest.fixture
def own(school):
    """`own("anna")`: a learner's Kafka; closed after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda name: stack.enter_context(connect(school.learner(name)))


def test_each_command_may_be_typed_twice(school, lab):
    """Nobody gets another password; who has lost the file gets one with --renew."""
    assert "is up at localhost:" in lab("class", "start").stdout
    before = school.file("anna").read_text()
    add = ("class", "add", str(school.list), "--to", str(school.folder))
    assert "0 new users, 40 as before" in lab(*add).stdout
    assert school.file("anna").read_text() == before
    assert stat.S_IMODE(school.file("anna").stat().st_mode) == 0o600
    school.file("learner_3").unlink()
    assert "has the password of: learner_3" in lab(*add).stdout
    assert "1 new user, 39 as before" in lab(*add, "--renew").stdout
    with connect(school.learner("learner_3")) as kafka:
        assert kafka.topics() == []


def test_an_interrupted_add_goes_on_with_the_passwords_that_it_has_written(school):
    """The file came first; the user did not exist yet."""
    before = school.file("learner_5").read_text()
    with school.teacher() as kafka:
        users.revoke(kafka, "learner_5")
        with pytest.raises(LabError, match="refuses the user 'learner_5'"):
            reach(school.learner("learner_5").connection)
        from labsupport.classroom import handout

        added = handout.add(kafka, school.broker.learners, ["learner_5"], school.folder)
    assert added.new == ["learner_5"]
    assert school.file("learner_5").read_text() == before
    reach(school.learner("learner_5").connection)


def test_a_learner_needs_one_file_only(school, lab):
    """Address, authority, password, and the name that topics begin with."""
    settings = school.learner("anna")
    assert (settings.learner, settings.prefix) == ("anna", "lab-anna-")
    run = lab("status", LAB_KAFKA_CONFIG=str(school.file("anna")))
    assert "as anna" in run.stdout


def against(settings: Settings) -> dict[str, tuple]:
    """What bela tries against anna: the call, and the error that it gets."""
    theirs = "lab-anna-04-orders"

    def acl(kafka: Cluster) -> None:
        pattern = ResourcePattern(ResourceType.TOPIC, "lab-anna-", ACLResourcePatternType.PREFIXED)
        given = ACL("User:bela", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, pattern)
        failed = kafka.admin().create_acls([given])["failed"]
        raise failed[0]

    def password(kafka: Cluster) -> None:
        change = UserScramCredentialUpsertion("anna", ScramMechanism.SCRAM_SHA_512, "taken over")
        users._require(kafka.admin().alter_user_scram_credentials([change]))

    denied, group_denied = errors.TopicAuthorizationFailedError, errors.GroupAuthorizationFailedError
    return {
        "write": (lambda kafka: kafka.producer(name="p").send(theirs, b"mine").get(timeout=300), denied),
        "forge the board": (
            lambda kafka: kafka.producer(name="p").send("lab-anna-progress", b"{}", b"00-1").get(timeout=300), denied),
        "read": (lambda kafka: kafka.consumer(theirs, name="c"), LabError),
        "read as her group": (
            lambda kafka: reading.join(kafka.consumer("lab-bela-04-own", name="c", group_id="lab-anna-04-service")),
            group_denied),
        "delete her topic": (lambda kafka: kafka.admin().delete_topics([theirs]), denied),
        "empty her topic": (
            lambda kafka: kafka.admin().delete_records({_first(theirs): 1}), errors.UnknownTopicOrPartitionError),
        "delete her group": (lambda kafka: kafka.admin().delete_groups(["lab-anna-04-service"]), group_denied),
        "make a topic of hers": (lambda kafka: _create(kafka, "lab-anna-04-new"), denied),
        "make any topic": (lambda kafka: _create(kafka, "orders"), denied),
        "give herself rights": (acl, errors.ClusterAuthorizationFailedError),
        "raise her own quota": (
            lambda kafka: users._set_quotas(kafka.admin(), ["bela"], {"producer_byte_rate": 1e9}),
            errors.ClusterAuthorizationFailedError),
        "change a password": (password, LabError),
    }  # fmt: skip


def _first(topic: str):
    from kafka import TopicPartition

    return TopicPartition(topic, 0)


def _create(kafka: Cluster, name: str) -> None:
    from kafka.admin import NewTopic

    kafka.admin().create_topics([NewTopic(name, 1, 1)])


@pytest.mark.parametrize("what", against(None))
def test_one_learner_cannot_hurt_another(what, own):
    """Every attempt is refused, and what anna has is as it was."""
    anna, bela = own("anna"), own("bela")
    orders = anna.create_topic("lab-anna-04-orders")
    anna.producer(name="p").send(orders, b"hers").get(timeout=300)
    service = anna.consumer(orders, name="c", group_id="lab-anna-04-service", auto_offset_reset="earliest")
    reading.join(service)
    service.commit()
    bela.create_topic("lab-bela-04-own")
    attempt, error = against(None)[what]
    with pytest.raises(error) as caught:
        attempt(bela)
    assert re.search("Authorization|no right|not known", f"{caught.type.__name__} {caught.value}")
    assert anna.topics() == sorted({*anna.topics()} | {orders})
    assert "lab-anna-04-service" in anna.groups()
    assert [
        record.value for record in reading.to_the_end(anna.consumer(orders, name="r", auto_offset_reset="earliest"))
    ] == [b"hers"]
    assert [name for name in bela.topics() if not name.startswith("lab-bela-")] == []


def test_what_is_refused_is_explained(own):
    """In a notebook it stands below the error; for a topic that may not be read, instead of an empty poll."""
    from labsupport.broker.advice import advice

    bela = own("bela")
    bare = KafkaConsumer("lab-anna-04-orders", **bela.config("consumer"))
    assert bare.poll(timeout_ms=1_000) == {}  # the client says nothing
    bare.close()
    with pytest.raises(LabError, match="Your user may not use that topic") as caught:
        bela.consumer("lab-anna-04-orders", name="c")
    assert "LAB_LEARNER" in caught.value.next_step
    with pytest.raises(errors.TopicAuthorizationFailedError) as refused:
        bela.producer(name="p").send("lab-anna-04-orders", b"").get(timeout=300)
    assert "lab-<your name>-" in advice(refused.value)


def test_nobody_gets_the_teachers_rights(school):
    """The teacher's password is of no use at the learners' door, and nobody is let in at the others."""
    port = school.broker.cluster.ports[1]
    password = school.broker.teacher.password
    door = school.broker.learners
    for mechanism in ("PLAIN", "SCRAM-SHA-512"):
        given = Connection(door.bootstrap, "SASL_SSL", mechanism, class_broker.TEACHER, password, door.ca)
        with pytest.raises(LabError, match=r"does not take sasl\.mechanism=PLAIN|refuses the user"):
            reach(given)
    for number in port:
        with pytest.raises(RefusedError):
            ask("127.0.0.1", number)
        guessed = Connection("", "SASL_PLAINTEXT", "PLAIN", class_broker.TEACHER, Secret("guessed"))
        with pytest.raises(RefusedError, match="refuses the user"):
            ask("127.0.0.1", number, connection=guessed)
    for file in ("class.json", "teacher.properties", "broker/1/server.properties"):
        assert stat.S_IMODE((class_broker.folder_of(school.settings) / file).stat().st_mode) == 0o600
    log = (class_broker.folder_of(school.settings) / "broker/1/server.log").read_text()
    for secret in (password, client_properties.read(school.file("anna")).password):
        assert str(secret) not in log


def test_a_runaway_producer_is_slowed_down_and_a_neighbour_is_served(own):
    """The broker tells the one to wait; the other's record is acknowledged meanwhile."""
    anna, bela = own("anna"), own("bela")
    topic, other = anna.create_topic("lab-anna-04-flood"), bela.create_topic("lab-bela-04-orders")
    ended, throttled = threading.Event(), threading.Event()
    settings = anna.connection.confluent_kafka() | {"throttle_cb": lambda event: throttled.set(), "linger.ms": 0}
    producer = Producer(settings)

    def flood() -> None:
        while not ended.is_set():
            with contextlib.suppress(BufferError):
                producer.produce(topic, b"x" * 10_000)
            producer.poll(0)

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        assert throttled.wait(300)
        bela.producer(name="p").send(other, b"mine").get(timeout=300)
    finally:
        ended.set()
        flooding.join()
        producer.purge()


def test_the_board_shows_what_learners_check(school, monkeypatch, capsys, lab):
    """By a real lesson's check; a learner who has switched it off is not there, and everybody is told what is sent."""
    for name, environment in (("anna", {}), ("bela", {"LAB_BOARD": "off"})):
        monkeypatch.setenv("LAB_KAFKA_CONFIG", str(school.file(name)))
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        mine = session.lesson("00")
        said = capsys.readouterr().out
        assert ("Your teacher's board shows which exercises you check" in said) == (name == "anna")

        def offset_of(lines):
            return ...

        mine.check("00-1", offset_of)
        mine.check("00-1", lambda *_: 7)
        session.close()
    monkeypatch.delenv("LAB_KAFKA_CONFIG")
    monkeypatch.delenv("LAB_BOARD")
    with school.teacher() as kafka:
        told = outcomes.read(kafka)
        assert [(each.learner, each.exercise, each.outcome) for each in told] == [("anna", "00-1", "TRY AGAIN")]
        assert kafka.topics("lab-bela-progress") == []
    shown = lab("class", "board", "--once").stdout
    assert re.search(r"anna +0/\d+ +00-1 TRY AGAIN, \d+ [dhms] ago", shown)
    assert re.search(r"bela +· +–", shown)
    listed = lab("class", "list").stdout
    assert re.search(r"anna +\d{4}-\d\d-\d\d +\d+ +\d+ +[\d,]+ +\d+ +\d+ [dhms] ago", listed)
    assert "40 learners" in listed


def test_a_board_of_forty_whatever_they_write(school, lab):
    """A solved exercise stays solved; what is no outcome is passed over."""
    for name in LEARNERS:
        teller = board.Board(school.learner(name))
        producer = teller._connected()
        topic = board.topic_of(name)
        for key, value in (
            (b"01-1", b'{"outcome": "PASS"}'),
            (b"01-1", b'{"outcome": "ERROR"}'),
            (b"x", b"{"),
        ):
            producer.send(topic, value, key).get(timeout=300)
        teller.close()
    with school.teacher() as kafka:
        told = [each for each in outcomes.read(kafka) if each.exercise == "01-1"]
    assert {each.learner for each in told} == {*LEARNERS}
    assert {each.outcome for each in told} == {"PASS"}
    shown = lab("class", "board", "--once").stdout
    assert len(re.findall(r"^ ?learner_\d+ .* 1/\d+ ", shown, re.MULTILINE)) == 38


def test_tidy_and_remove(school, own, lab):
    """Idle learners keep their user and what they have solved; a removed one has nothing, and is let in no more."""
    carla, dora = own("learner_7"), own("learner_8")
    for kafka in (carla, dora):
        kafka.create_topic(f"{kafka.prefix}04-orders")
        teller = board.Board(school.learner(kafka.prefix[4:-1]))
        told = teller._connected().send(board.topic_of(teller.settings.learner), b'{"outcome": "PASS"}', b"00-1")
        told.get(timeout=300)
        teller.close()
    assert "Nobody has been idle for so long" in lab("class", "tidy", "--idle", "1d", "--yes").stdout
    assert "is not a time such as 14d" in lab("class", "tidy", "--idle", "soon").stderr
    refused = lab("class", "remove", "learner_7")
    assert refused.returncode == 1
    assert "Nobody was removed" in refused.stdout
    assert "learner_7: removed, with" in lab("class", "remove", "learner_7", "--yes").stdout
    assert "learner_7: removed, with 0 topics and 0 groups" in lab("class", "remove", "learner_7", "--yes").stdout
    with school.teacher() as kafka:
        assert "learner_7" not in users.existing(kafka)
        assert kafka.topics("lab-learner_7-") == []
        tidied = lab("class", "tidy", "--idle", "0s", "--yes").stdout
        assert "learner_8: 1 topic and 0 groups deleted" in tidied
        assert kafka.topics("lab-learner_8-") == ["lab-learner_8-progress"]
        assert "learner_8" in users.existing(kafka)
        assert ("learner_8", "PASS") in [(each.learner, each.outcome) for each in outcomes.read(kafka)]
    with pytest.raises(LabError, match="refuses the user 'learner_7'"):
        reach(school.learner("learner_7").connection)


def test_rights_that_are_taken_away_in_the_middle_are_named(school, own):
    """The running client is refused, in words; after another `add` it goes on."""
    elsa = own("learner_9")
    topic = elsa.create_topic("lab-learner_9-04-orders")
    producer = elsa.producer(name="p")
    producer.send(topic, b"1").get(timeout=300)
    with school.teacher() as kafka:
        passwords = {"learner_9": str(elsa.connection.password)}
        users.revoke(kafka, "learner_9")
        with pytest.raises(errors.TopicAuthorizationFailedError):
            while True:  # the broker hears of it a moment later
                producer.send(topic, b"2").get(timeout=300)
        users.grant(kafka, passwords, ["learner_9"])
    elsa.producer(name="p").send(topic, b"3").get(timeout=300)


def test_an_administrator_of_another_kafka_needs_a_file_only(school, tmp_path, lab, monkeypatch):
    """A user with the right to alter the cluster, at the learners' own door, from another home."""
    boss = "boss"
    with school.teacher() as kafka:
        users.grant(kafka, {boss: "secret of the boss"}, [])
        everything = [
            ACL(f"User:{boss}", "*", ACLOperation.ALL, ACLPermissionType.ALLOW,
                ResourcePattern(kind, name, ACLResourcePatternType.LITERAL))
            for kind, name in (
                (ResourceType.CLUSTER, "kafka-cluster"), (ResourceType.TOPIC, "*"), (ResourceType.GROUP, "*"))
        ]  # fmt: skip
        assert not kafka.admin().create_acls(everything)["failed"]
    file, names = tmp_path / "admin.properties", tmp_path / "other.txt"
    door = school.broker.learners
    given = Connection(door.bootstrap, "SASL_SSL", "SCRAM-SHA-512", boss, Secret("secret of the boss"), door.ca)
    file.write_text(client_properties.written(given))
    names.write_text("zoe\n")
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "elsewhere"))
    add = ("class", "add", str(names), "--to", str(tmp_path / "files"), "--at", str(file))
    assert "1 new user, 0 as before" in lab(*add).stdout
    reach(client_properties.read(tmp_path / "files" / "zoe.properties"))
    assert "zoe" in lab("class", "list", "--at", str(file)).stdout
    assert "zoe: removed" in lab("class", "remove", "zoe", "--yes", "--at", str(file)).stdout
    learners_own = lab(*add[:-1], str(school.file("anna")))
    assert learners_own.returncode == 1
    assert "is it the file of an administrator?" in learners_own.stderr


def test_bad_input(school, tmp_path, lab, monkeypatch):
    """Each gets a sentence: no class, a list that cannot be used, a port that is taken, a name that nobody finds."""
    bad = tmp_path / "bad.txt"
    bad.write_text("anna\nlab-teacher\n")
    run = lab("class", "add", str(bad), "--to", str(tmp_path / "files"))
    assert (run.returncode, "line 2: 'lab-teacher'" in run.stderr) == (1, True)
    bad.write_bytes(b"J\xf6rg\n")
    assert "it is no text in UTF-8" in lab("class", "add", str(bad), "--to", str(tmp_path / "files")).stderr
    assert "is no learner's name" in lab("class", "remove", "lab-teacher", "--yes").stderr
    taken = str(school.broker.cluster.brokers[0].port)
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "elsewhere"))
    assert "There is no class here yet" in lab("class", "list").stderr
    assert f"cannot use port {taken}" in lab("class", "start", "--port", taken).stderr


def test_a_name_that_this_machine_does_not_find_is_said_and_the_broker_is_up_all_the_same(school, lab):
    """The learners' machines have to find it; then the class goes on under its name before, with the same authority."""
    said = lab("class", "start", "--name", "kafka.invalid").stdout
    assert "This machine does not find kafka.invalid" in said
    back = lab("class", "start", "--name", "localhost").stdout
    assert (
        re.search(r"SHA-256\): (\S+)", back)[1] == re.search(r"SHA-256\): (\S+)", said)[1] == school.broker.fingerprint
    )
    reach(school.learner("bela").connection)
