"""The cluster handle: clients, topics, groups, and what is refused."""

import re
import socket
import threading
import time

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from labsupport.broker.cluster import Cluster, connect, private
from labsupport.broker.metadata import ask
from labsupport.course.session import Lesson
from labsupport.delivery import reading
from labsupport.errors import LabError, NotKafkaError, RefusedError
from labsupport.settings import Settings


@pytest.fixture
def topic(cluster) -> str:
    """An empty topic with three partitions."""
    return cluster.create_topic("92-topic", 3)


def end_offsets(cluster: Cluster, topic: str) -> list[int]:
    """The end offset of each partition."""
    consumer = cluster.consumer(name="ends")
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    return list(consumer.end_offsets(partitions).values())


def test_clients_are_kafka_pythons_own_with_the_labs_settings_underneath(cluster, topic):
    """What the caller says wins over what `config()` shows."""
    producer = cluster.producer(name="P", linger_ms=7)
    consumer = cluster.consumer(topic, name="C", session_timeout_ms=9_000)
    assert type(producer) is KafkaProducer
    assert type(consumer) is KafkaConsumer
    assert producer.config["linger_ms"] == 7
    assert (consumer.config["client_id"], consumer.config["session_timeout_ms"]) == ("C", 9_000)
    shown = cluster.config("consumer", group_id="g")
    assert shown["bootstrap_servers"] == cluster.bootstrap.split(",")
    assert shown["session_timeout_ms"] == 6_000
    assert shown["group_id"] == "g"


def test_a_name_used_again_closes_the_earlier_client(cluster, topic):
    """A cell run twice does not leave its first consumer in the group."""
    first = cluster.consumer(topic, name="A", group_id="92-again", auto_offset_reset="earliest")
    reading.join(first)
    reading.join(cluster.consumer(topic, name="A", group_id="92-again", auto_offset_reset="earliest"))
    members = cluster.admin().describe_groups(["92-again"])["92-again"]["members"]
    assert [member["client_id"] for member in members] == ["A"]
    assert first._closed


def test_a_client_needs_a_name(cluster):
    """Without one the lab could not tell a second consumer from a cell run again."""
    with pytest.raises(TypeError, match="name"):
        cluster.consumer("92-topic")


def test_creating_a_topic_again_empties_it(cluster, topic):
    """The same name, no records, the partitions asked for, and records kept for ever."""
    cluster.producer(name="P").send(topic, b"old").get(timeout=300)
    assert sum(end_offsets(cluster, topic)) == 1
    assert cluster.create_topic(topic, 2) == topic
    assert end_offsets(cluster, topic) == [0, 0]


def test_the_labs_topics_keep_old_records(cluster, topic):
    """`retention.ms=-1`, because the story's clock lies in the past; other settings are handed through."""
    from kafka.admin import ConfigResource, ConfigResourceType

    name = cluster.create_topic("92-compact", cleanup_policy="compact")
    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    configs = str(cluster.admin().describe_configs([resource]))
    assert re.search(r"retention\.ms'?[^}]*'-1'", configs)
    assert re.search(r"cleanup\.policy'?[^}]*'compact'", configs)


def test_where_topics_are_not_deleted_a_fresh_name_is_used(cluster):
    """As on Windows, where deleting a topic can stop the broker: each time another name, and it is empty."""
    careful = Cluster(cluster.bootstrap, embedded=cluster.embedded, deletes_topics=False)
    with careful:
        names = [careful.create_topic("92-fresh") for _ in range(3)]
        assert names == ["92-fresh", "92-fresh.2", "92-fresh.3"]
        careful.delete_topics(names)
        assert set(names) <= set(careful.topics())
    cluster.delete_topics(names)


@pytest.mark.parametrize(
    "name", ["orders", "__consumer_offsets", "9-x", "92_x", "92-", "92-ü", "lab-anna-92-x", "x92-y"]
)
def test_only_the_labs_own_names_are_created_or_deleted(name, cluster):
    """Everything else belongs to somebody else, whatever the broker would allow."""
    for act in (
        cluster.create_topic,
        lambda each: cluster.delete_topics([each]),
        lambda each: cluster.delete_groups([each]),
    ):
        with pytest.raises(LabError, match="does not create or delete"):
            act(name)


def test_on_a_foreign_broker_the_names_of_other_learners_are_safe(cluster):
    """`lab-anna-` is not the beginning of another learner's names, nor of a topic without a lesson."""
    anna = Cluster(cluster.bootstrap, prefix="lab-anna-")
    assert anna.is_ours("lab-anna-05-orders")
    for other in ("lab-anna_b-05-orders", "lab-annab-05-orders", "lab-anna-orders", "05-orders", "lab-anna-5-orders"):
        assert not anna.is_ours(other)


def test_groups_are_deleted_with_the_members_that_are_still_in_them(cluster, topic):
    """A member that has not left does not keep the group alive."""
    other = Cluster(cluster.bootstrap)
    member = other.consumer(topic, name="B", group_id="92-left-over", auto_offset_reset="earliest")
    reading.join(member)
    assert "92-left-over" in cluster.groups("92-")
    cluster.delete_groups(["92-left-over"])
    assert "92-left-over" not in cluster.groups()
    other.close()


def test_a_wrong_setting_is_said_in_the_brokers_words(cluster):
    """Not in a dump of request and response."""
    with pytest.raises(LabError, match="Could not create the topic") as caught:
        cluster.create_topic("92-wrong", cleanup_policy="nonsense")
    assert "Invalid value nonsense for configuration cleanup.policy" in caught.value.seen
    assert "CreateTopicsRequest" not in str(caught.value)


def test_the_brokers_words_are_found_in_either_kind_of_quotes(cluster):
    """Names that differ in . and _ only collide in Kafka's metrics; its sentence holds an apostrophe."""
    cluster.create_topic("92-a.b")
    with pytest.raises(LabError) as caught:
        cluster.create_topic("92-a_b")
    assert "collides with" in caught.value.seen
    assert "Request" not in str(caught.value)
    cluster.delete_topics(["92-a.b"])


@pytest.mark.parametrize("partitions", [0, -1, "three", 2.0, None])
def test_a_topic_has_a_whole_number_of_partitions(partitions, cluster):
    """Anything else is refused before the broker is asked."""
    with pytest.raises(LabError, match="partitions"):
        cluster.create_topic("92-x", partitions)


def test_a_client_may_have_any_name(cluster, topic):
    """Also that of the admin client, which is kept apart; and one that was closed is made again."""
    cluster.producer(name="admin")
    assert topic in cluster.topics()
    cluster.admin().close()
    assert topic in cluster.topics()


def test_a_misspelt_setting_is_a_sentence(cluster):
    """Whichever client: its own words, without a stack."""
    for make in (lambda: cluster.producer(name="P", ack="all"), lambda: cluster.consumer(name="C", grop_id="g")):
        with pytest.raises(LabError, match="Could not make the") as caught:
            make()
        assert "Unrecognized configs" in caught.value.seen


def test_without_its_broker_every_call_is_a_sentence_within_its_deadline(elsewhere):
    """Nothing hangs, and the next step is named."""
    with connect(elsewhere) as kafka:
        kafka.broker(1).stop()
        calls = [kafka.topics, kafka.groups, lambda: kafka.create_topic("92-x"), lambda: kafka.producer(name="P")]
        for call in calls:
            with pytest.raises(LabError, match=r"python3 lab\.py status"):
                call()


def test_an_external_broker_is_not_stopped_and_the_refusal_says_why(broker_elsewhere):
    """If the lab did not start the broker, others may use it; there is a way to do it."""
    kafka = connect(Settings.from_environment({"LAB_KAFKA": broker_elsewhere.bootstrap, "LAB_HOME": "unused"}))
    with kafka, pytest.raises(LabError, match="stops, pauses or kills") as caught:
        kafka.broker(1)
    assert "the lab did not start the broker" in caught.value.seen
    assert "private()" in caught.value.next_step


def test_a_lesson_on_an_external_broker_touches_only_its_own_names(broker_elsewhere, monkeypatch):
    """Topics of the school and of another learner survive the opening of a lesson."""
    from labsupport import lesson

    with Cluster(broker_elsewhere.bootstrap, prefix="lab-ben-") as ben, Cluster(broker_elsewhere.bootstrap) as school:
        kept = [ben.create_topic("lab-ben-93-orders"), school.create_topic("93-orders")]
        monkeypatch.setenv("LAB_KAFKA", broker_elsewhere.bootstrap)
        monkeypatch.setenv("LAB_LEARNER", "anna")
        opened = lesson("93")
        assert isinstance(opened, Lesson)
        assert opened.topic("orders") == "lab-anna-93-orders"
        opened = lesson("93")
        assert set(kept) <= set(school.topics())
        assert "lab-anna-93-orders" not in school.topics()
        opened.close()


class Listener:
    """Something on a port that is not Kafka: it sends `words` and then closes, or keeps silent."""

    def __init__(self, words: bytes | None):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.words, self.open = words, []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            connection.recv(1000)
            if self.words is None:
                self.open.append(connection)
            else:
                connection.sendall(self.words)
                connection.close()


@pytest.fixture
def listener():
    """`listener(words)` gives something that listens."""
    made = []

    def start(words):
        made.append(Listener(words))
        return made[-1]

    yield start
    for each in made:
        each.socket.close()
        for connection in each.open:
            connection.close()


NOT_KAFKA = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x15\x03\x03\x00\x02\x02\x46", b"\0\0\0\x20" + b"\xff" * 40]


@pytest.mark.parametrize("words", NOT_KAFKA)
def test_something_that_is_not_kafka_is_recognised(words, listener, monkeypatch):
    """A web server, one that hangs up, a TLS alert, and noise with a believable length."""
    there = listener(words)
    with pytest.raises((NotKafkaError, RefusedError)):
        ask("127.0.0.1", there.port)
    monkeypatch.setenv("LAB_KAFKA", f"127.0.0.1:{there.port}")
    said = "speaks TLS" if words[:1] == b"\x15" else "does not speak Kafka"
    with pytest.raises(LabError, match=said):
        connect(Settings.from_environment())


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:1", "nothing listens at 127.0.0.1:1"),
        ("no-such-host.invalid:9092", "cannot find a host named no-such-host.invalid"),
        ("127.0.0.1:1,127.0.0.1:2", "nothing listens at 127.0.0.1:2"),
    ],
)
def test_an_unreachable_kafka_has_its_own_sentence(address, sentence):
    """Nothing listens, no such host, and two addresses that both fail."""
    with pytest.raises(LabError, match=re.escape(sentence)) as caught:
        connect(Settings.from_environment({"LAB_KAFKA": address}))
    assert "unset LAB_KAFKA" in caught.value.next_step


def test_silence_has_its_own_sentence_and_ends(listener):
    """Something accepts the connection and never answers: the wait has a deadline of 4 s."""
    there = listener(None)
    begin = time.monotonic()
    with pytest.raises(LabError, match="no answer from"):
        connect(Settings.from_environment({"LAB_KAFKA": f"127.0.0.1:{there.port}"}))
    assert time.monotonic() - begin < 60  # the exact time is no business of a test; that it ends is


def test_one_good_address_of_several_is_enough(broker_elsewhere, listener):
    """Nobody, a web server and a silent one beside it: clients are given the address that answered."""
    silent, web = listener(None).port, listener(b"HTTP/1.1 400").port
    addresses = f"127.0.0.1:1, 127.0.0.1:{web} ,127.0.0.1:{silent},{broker_elsewhere.bootstrap}"
    with connect(Settings.from_environment({"LAB_KAFKA": addresses})) as kafka:
        assert kafka.bootstrap == broker_elsewhere.bootstrap
        kafka.topics()


def test_a_topic_can_be_made_right_after_a_closed_lid():
    """Suspended for longer than its session the broker is fenced for a moment: no topic may be put on it then."""
    with private() as kafka:
        for number in range(3):
            kafka.broker(1).pause()
            time.sleep(2.5)  # longer than broker.session.timeout.ms
            kafka.broker(1).resume()
            kafka.create_topic(f"97-{number}")
        assert kafka.topics() == ["97-0", "97-1", "97-2"]
