"""Secured Kafkas: five ways to be let in with three clients, each refusal in a sentence, and no secret anywhere."""

import asyncio
import contextlib
import os
import re
import sqlite3
import subprocess
import threading
from pathlib import Path

import nbformat
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer
from kafka import KafkaConsumer, KafkaProducer
from secured_kafka import OAUTH, PASSWORD, PLAIN, SCRAM, SecuredKafka, escaped, quoted

from labsupport.broker import certificates
from labsupport.broker.cluster import connect, private
from labsupport.broker.metadata import in_use
from labsupport.commands import doctor, notebooks
from labsupport.course.session import Lesson
from labsupport.delivery import orders, publish
from labsupport.errors import LabError
from labsupport.experiments.watching import log
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.settings import CHECKOUT, Settings
from labsupport.shop import story
from labsupport.waiting import until

SASL = ("SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN", "OAUTHBEARER")
DOOR = {"SCRAM-SHA-256": "SCRAM", "SCRAM-SHA-512": "SCRAM", "PLAIN": "PLAINS", "OAUTHBEARER": "OAUTH", "mTLS": "MTLS"}
MODULE = {"SCRAM-SHA-256": SCRAM, "SCRAM-SHA-512": SCRAM, "PLAIN": PLAIN}
ALL = [*SASL, "mTLS"]


@pytest.fixture(scope="module")
def secured(runtime, tmp_path_factory) -> SecuredKafka:
    """One for all tests of this file."""
    made = SecuredKafka(tmp_path_factory.mktemp("secured"), runtime)
    yield made
    made.close()


def java_names(kafka: SecuredKafka, how: str, password: str = PASSWORD, **more: str) -> str:
    """The client.properties that a provider hands out: Kafka's names, the authority inside."""
    settings = {
        "bootstrap.servers": kafka.address(DOOR[how]),
        "security.protocol": "SSL" if how == "mTLS" else "SASL_SSL",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": kafka.ca.text,
    }
    if how == "mTLS":
        own = {"certificate.chain": kafka.client.text, "key": kafka.client.key}
        settings |= {"ssl.keystore.type": "PEM"} | {f"ssl.keystore.{name}": text for name, text in own.items()}
    elif how == "OAUTHBEARER":
        settings |= {"sasl.mechanism": how, "sasl.oauthbearer.token.endpoint.url": f"{kafka.tokens.url}/token"}
        login = f"clientId=anna clientSecret={quoted(password)} scope=kafka"
        settings["sasl.jaas.config"] = f"{OAUTH} required {login};"
    else:
        settings["sasl.mechanism"] = how
        settings["sasl.jaas.config"] = f'{MODULE[how]} required username="anna" password={quoted(password)};'
    settings |= {name.replace("_", "."): text for name, text in more.items()}
    return "".join(f"{name}={escaped(text)}\n" for name, text in settings.items())


def librdkafka_names(kafka: SecuredKafka, how: str, folder: Path) -> str:
    """The same as the Python quick starts print it, with the certificates in files beside it."""
    for name, text in {"ca": kafka.ca.text, "service.cert": kafka.client.text, "service.key": kafka.client.key}.items():
        (folder / f"{name}.pem").write_text(text)
    settings = {
        "bootstrap.servers": kafka.address(DOOR[how]),
        "security.protocol": "ssl" if how == "mTLS" else "sasl_ssl",
        "ssl.ca.location": "ca.pem",
    }
    if how == "mTLS":
        settings |= {"ssl.certificate.location": "service.cert.pem", "ssl.key.location": "service.key.pem"}
    elif how == "OAUTHBEARER":
        named = {"method": "oidc", "client.id": "anna", "client.secret": PASSWORD, "scope": "kafka"}
        named["token.endpoint.url"] = f"{kafka.tokens.url}/token"
        settings |= {"sasl.mechanisms": how} | {f"sasl.oauthbearer.{name}": text for name, text in named.items()}
    else:
        settings |= {"sasl.mechanisms": how, "sasl.username": "anna", "sasl.password": PASSWORD}
    return "".join(f"{name}={escaped(text)}\n" for name, text in settings.items())


@pytest.fixture
def configured(monkeypatch, tmp_path):
    """`configured(text)`: the settings of a lab with this LAB_KAFKA_CONFIG."""

    def write(text: str) -> Settings:
        file = tmp_path / "client.properties"
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
        monkeypatch.setenv("LAB_KAFKA_CONFIG", str(file))
        monkeypatch.setenv("LAB_LEARNER", "anna")
        return Settings.from_environment()

    return write


@pytest.mark.parametrize("names", ["java", "librdkafka"])
@pytest.mark.parametrize("how", ALL)
def test_three_clients_are_let_in_by_the_same_file(how, names, secured, configured, tmp_path):
    """Five mechanisms, Kafka's names or librdkafka's: each client stores a record, and all read all three."""
    text = java_names(secured, how) if names == "java" else librdkafka_names(secured, how, tmp_path)
    with connect(configured(text)) as kafka:
        topic = kafka.create_topic(f"lab-anna-91-{how}-{names}")
        with contextlib.closing(KafkaProducer(**kafka.connection.kafka_python())) as producer:
            producer.send(topic, b"kafka-python").get(timeout=300)
        with contextlib.closing(ConfluentProducer(kafka.connection, message_timeout_ms=300_000)) as producer:
            producer.send(topic, b"confluent-kafka").get(timeout=300)

        async def both_ways() -> list[bytes]:
            async with AIOKafkaProducer(**kafka.connection.aiokafka()) as producer:
                await producer.send_and_wait(topic, b"aiokafka")
            settings = kafka.connection.aiokafka()
            async with AIOKafkaConsumer(topic, auto_offset_reset="earliest", **settings) as consumer:
                return [(await consumer.getone()).value for _ in range(3)]

        stored = [b"kafka-python", b"confluent-kafka", b"aiokafka"]
        assert asyncio.run(both_ways()) == stored
        reader = KafkaConsumer(topic, auto_offset_reset="earliest", **kafka.connection.kafka_python())
        with contextlib.closing(reader):
            assert [next(reader).value for _ in range(3)] == stored
        first = {"group.id": f"lab-anna-91-{how}", "auto.offset.reset": "earliest"}
        with contextlib.closing(Consumer(kafka.connection.confluent_kafka() | first)) as consumer:
            consumer.subscribe([topic])
            assert [consumer.poll(300).value() for _ in range(3)] == stored


def refusal(settings: Settings) -> str:
    """What the lab says about this Kafka. One line: why; the next step stands in it, or names the file."""
    with pytest.raises(LabError) as caught:
        connect(settings)
    assert PASSWORD not in str(caught.value)
    assert len(caught.value.seen.splitlines()) == 1
    assert "LAB_KAFKA_CONFIG" in caught.value.next_step
    return caught.value.seen


def at(door: str, **more: str) -> dict[str, str]:
    return {"door": door} | more


REFUSALS = {
    "wrong password": (at("SCRAM", password="guessed"), r"refuses the user 'anna'.*\(is the password right\?\)"),
    "wrong password, PLAIN": (at("PLAINS", mechanism="PLAIN", password="guessed"), "refuses the user 'anna'"),
    "wrong secret": (at("OAUTH", mechanism="OAUTHBEARER", user="bela"), "token endpoint .* refuses the client 'bela'"),
    "no token": (at("OAUTH", mechanism="OAUTHBEARER", url="http://127.0.0.1:1/"), "token endpoint .* does not answer"),
    "unknown authority": (at("SCRAM", ca="stranger"), "of an authority that is none of the ones in your file"),
    "no authority": (at("SCRAM", ca=""), "certificate of an authority that is none of this system's"),
    "wrong host name": (at("ELSEWHERE", protocol="SSL"), "certificate for another name than localhost"),
    "expired certificate": (at("OLD", protocol="SSL"), "certificate that has expired"),
    "TLS to plain text": (at("ADMIN", mechanism="PLAIN"), "closes the connection where TLS begins.*SASL_PLAINTEXT"),
    "plain text to TLS": (at("SCRAM", protocol="SASL_PLAINTEXT"), "speaks TLS: security.protocol is SASL_SSL"),
    "nobody to TLS": (at("TLS", protocol="PLAINTEXT"), "speaks TLS: security.protocol is SASL_SSL"),
    "nobody to SASL": (at("ADMIN", protocol="PLAINTEXT"), "closed the connection without an answer.*TLS or a user"),
    "nobody to SASL with TLS": (at("SCRAM", protocol="SSL"), "closed the connection without an answer.*a user"),
    "a user where none is wanted": (at("TLS"), "asks for no user at this port: security.protocol=SSL"),
    "mechanism not offered": (at("SCRAM", mechanism="PLAIN"), "does not take sasl.mechanism=PLAIN; it takes SCRAM"),
    "certificate wanted": (at("MTLS", protocol="SSL"), "wants a certificate of yours"),
    "somebody else's certificate": (at("MTLS", protocol="SSL", own="stranger"), "does not accept your certificate"),
    "nobody listens": (at("NOWHERE"), "nothing listens at localhost"),
    "no such host": (at("NOWHERE", host="kafka.invalid"), "cannot find a host named kafka.invalid"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_each_refusal_has_a_sentence(case, secured, configured):
    """Each is provoked on the real broker."""
    given, sentence = REFUSALS[case]
    door = given["door"]
    port = {"ADMIN": secured.cluster.brokers[0].port, "NOWHERE": 1}.get(door) or secured.ports[door]
    settings = {
        "bootstrap.servers": f"{given.get('host', 'localhost')}:{port}",
        "security.protocol": given.get("protocol", "SASL_SSL"),
        "sasl.mechanism": given.get("mechanism", "SCRAM-SHA-512"),
        "sasl.username": given.get("user", "anna"),
        "sasl.password": given.get("password", PASSWORD),
        "sasl.oauthbearer.token.endpoint.url": given.get("url", f"{secured.tokens.url}/token"),
    }
    if ca := given.get("ca", "ca"):
        settings["ssl.truststore.certificates"] = getattr(secured, ca).text
    if given.get("own"):
        theirs = certificates.issue(secured.stranger, "eve")
        settings |= {"ssl.keystore.certificate.chain": theirs.text, "ssl.keystore.key": theirs.key}
    text = "".join(f"{name}={escaped(value)}\n" for name, value in settings.items())
    assert re.search(sentence, refusal(configured(text)))


def command_lines(found: set[str], ended: threading.Event) -> None:
    """Collect what any user of this machine can see of all programs, as `ps` shows it, until the end."""
    while not ended.wait(0.01):
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                found.update(each.cmdline())


@pytest.fixture
def seen_by_ps():
    """All words of command lines that were seen during the test."""
    found: set[str] = set()
    ended = threading.Event()
    watching = threading.Thread(target=command_lines, args=(found, ended))
    watching.start()
    yield found
    ended.set()
    watching.join()


def lesson(number: str) -> list[str]:
    """Run a lesson on the Kafka of the environment; the ids of the cells that print something else than stored."""
    (path,) = (CHECKOUT / "notebooks").glob(f"{number}_*.ipynb")
    stored = nbformat.read(path, as_version=4)
    fresh = nbformat.from_dict(stored)
    notebooks.execute(notebooks.client_of(fresh, path.parent))
    return notebooks.differing(stored.cells, fresh.cells)


def test_a_lesson_prints_the_same_on_a_secured_kafka_and_shows_no_password(secured, configured, seen_by_ps, elsewhere):
    """Lesson 00: clients of the learner's own, and a tool in a terminal."""
    configured(java_names(secured, "SCRAM-SHA-512"))
    assert lesson("00") == []
    assert any("kafka_tool" in word for word in seen_by_ps)
    assert not [word for word in seen_by_ps if PASSWORD in word]


@pytest.mark.parametrize("how", ["PLAIN", "OAUTHBEARER", "mTLS"])
def test_status_doctor_and_tour_work_and_nothing_secret_is_left_anywhere(
    how, secured, configured, seen_by_ps, elsewhere, typed
):
    """The tour has members, dead letters, a redrive by another client. Then the lab's home and all output are read."""
    configured(java_names(secured, how))
    said = ""
    for words in (["status"], ["status", "--json"], ["up"], ["doctor"], ["tour"], ["watch", "--once"]):
        run = typed(*words)
        assert run.returncode == 0 or words == ["doctor"], run.stdout + run.stderr
        said += run.stdout + run.stderr
    wrong = re.findall(r"^wrong .*", said, re.MULTILINE)
    assert [line for line in wrong if "Kafka" in line or "event" in line or "LAB_" in line] == []
    assert f"LAB_KAFKA_CONFIG: {os.environ['LAB_KAFKA_CONFIG']}: S" in said
    assert "nothing lost, nothing processed twice" in said
    kept = "".join(file.read_text(errors="replace") for file in elsewhere.home.rglob("*") if file.is_file())
    for secret in (PASSWORD, secured.client.key.splitlines()[1]):
        assert secret not in said + kept
        assert not [word for word in seen_by_ps if secret in word]


def test_a_file_that_others_may_read_is_said(secured, configured, lab, capsys):
    """When a lesson or command connects, and by the doctor with the command that mends it."""
    file = configured(java_names(secured, "SCRAM-SHA-512")).secured.source
    file.chmod(0o644)
    connect(Settings.from_environment()).close()
    assert f'read your password in {file}: chmod 600 "{file}"' in capsys.readouterr().err
    line = doctor.secured(Settings.from_environment().secured)
    assert (line.ok, line.next_step) == (False, f'chmod 600 "{file}"')
    file.chmod(0o600)
    connect(Settings.from_environment()).close()
    assert "chmod" not in capsys.readouterr().err
    assert doctor.secured(Settings.from_environment().secured).ok


def test_the_tool_that_status_names_works(secured, configured, lab):
    """As it stands there, in a terminal."""
    settings = configured(java_names(secured, "SCRAM-SHA-256"))
    with connect(settings) as kafka:
        topic = kafka.create_topic("lab-anna-91-listed")
    (command,) = re.findall(r".*kafka_tool admin .*topics list", lab("status").stdout)
    run = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert topic in run.stdout, run.stderr


def test_services_of_a_terminal_and_a_registry_are_let_in(secured, configured, seen_by_ps, tmp_path, elsewhere):
    """Payments, the relay and the registry get the address as a word, and the rest by LAB_KAFKA_CONFIG."""
    settings = configured(java_names(secured, "SCRAM-SHA-512"))
    with connect(settings) as kafka, Lesson("91", kafka, settings) as lab:
        placed, sent = lab.topic("orders"), lab.topic("payments")
        lab.delete_groups([lab.group("payments")])
        database = tmp_path / "shop.db"
        words = [lab.bootstrap, placed, "--group", lab.group("payments"), "--database", database, "--outbox", sent]
        events = [event for event in story.events(50) if event.event_type == "OrderCreated"]
        publish.publish(lab.producer(name="shop"), placed, events)
        own = lab.registry()
        assert own.ask("GET", "/subjects") == []
        with lab.python("-m", "labsupport.delivery.payments", *words) as service:
            until(lambda: effects(database) == len(events), 300, "all to be paid")
            with lab.python("-m", "labsupport.delivery.outbox", lab.bootstrap, database) as relay:
                until(lambda: sum(log.bounds(lab, sent)[1].values()) == len(events), 300, "all payments to be sent")
                said = service.printed + relay.printed
        assert PASSWORD not in said
    assert not [word for word in seen_by_ps if PASSWORD in word]


def effects(database: Path) -> int:
    with contextlib.suppress(sqlite3.Error, LabError):  # the file or the table may not be there yet
        return orders.effects(database).total()
    return 0


def test_a_private_broker_never_gets_the_password(secured, configured):
    """It is reached in plain text; the cluster's own security stays with the cluster."""
    settings = configured(java_names(secured, "SCRAM-SHA-512"))
    with private(1, settings) as kafka:
        assert kafka.security == {}
        kafka.create_topic("91-private")


def test_a_kafka_that_goes_away_in_the_middle_has_its_sentence_and_comes_back(secured, configured):
    """Its clients connect again by themselves, with TLS and password."""
    settings = configured(java_names(secured, "SCRAM-SHA-512"))
    with connect(settings) as kafka:
        topic = kafka.create_topic("lab-anna-91-away")
        producer = kafka.producer(name="P", delivery_timeout_ms=300_000)
        producer.send(topic, b"before").get(timeout=300)
        secured.cluster.brokers[0].kill()
        until(lambda: not in_use(secured.ports["SCRAM"]), 300, "the port to be free")
        with pytest.raises(LabError, match="nothing listens at localhost"):
            kafka.consumer(topic, name="C")
        sending = producer.send(topic, b"after")
        secured.cluster.start()
        sending.get(timeout=300)
        assert kafka.topics("lab-anna-91-away") == [topic]
