"""The second client: it sends records unchanged, and reports only timeouts as timeouts."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from kafka import errors

from labsupport.broker.cluster import private
from labsupport.experiments.breaking import faults
from labsupport.experiments.watching import log
from labsupport.history import offset_range
from labsupport.history.librdkafka import ConfluentProducer, NotSentError
from labsupport.history.outgoing import Outgoing, Sender
from labsupport.history.replay_report import ReplayCounter, ReplayReport, is_refusal

QUICK = {"message_timeout_ms": 10_000}  # by then, on a busy machine too, it has heard why it cannot speak


@pytest.fixture
def topic(cluster):
    """An empty topic."""
    return cluster.create_topic("98-exact")


def refused(bootstrap, topic, error, size=1, **settings):
    """Send a record; it must fail with this error, which the report counts as refused."""
    with closing(ConfluentProducer(bootstrap, **QUICK | settings)) as producer:
        sending = producer.send(topic, b"x" * size, b"k")
        with pytest.raises(error) as caught:
            sending.get(300)
    assert is_refusal(caught.value)
    return str(caught.value)


def test_what_keeps_it_from_speaking_with_the_broker_is_named(cluster, topic):
    """TLS where there is none, a password where none is asked for, a name that nobody resolves: nothing was sent."""
    sasl = {"sasl_mechanism": "PLAIN", "sasl_username": "a", "sasl_password": "b"}
    with ThreadPoolExecutor() as pool:  # each takes as long as it tries
        tls = pool.submit(refused, cluster.bootstrap, topic, NotSentError, security_protocol="SSL")
        password = pool.submit(
            refused, cluster.bootstrap, topic, errors.SaslAuthenticationFailedError,
            security_protocol="SASL_PLAINTEXT", **sasl,
        )  # fmt: skip
        name = pool.submit(refused, "nowhere.invalid:9092", topic, NotSentError)
        assert "SSL connection closed by peer" in tls.result()
        assert "handshake failed" in password.result()
        assert "Failed to resolve" in name.result()
    assert log.read(cluster, topic).records == ()


def test_what_the_broker_or_the_client_refuses(cluster, topic):
    """A topic and a partition that are not there, a record too large here and there, a time far ahead."""
    refused(cluster.bootstrap, "98-nowhere", errors.UnknownTopicOrPartitionError)
    refused(cluster.bootstrap, topic, errors.MessageSizeTooLargeError, size=2_000, message_max_bytes=1_000)
    cluster.create_topic(topic, max_message_bytes=500)
    refused(cluster.bootstrap, topic, errors.MessageSizeTooLargeError, size=2_000)
    with closing(ConfluentProducer(cluster.bootstrap)) as producer:
        with pytest.raises(errors.UnknownTopicOrPartitionError):
            producer.send(topic, b"x", b"k", partition=7).get(300)
        with pytest.raises(errors.InvalidTimestampError):
            producer.send(topic, b"x", b"k", timestamp_ms=1_795_649_824_000_000).get(300)


def test_a_full_queue_is_waited_for(cluster, topic):
    """It is no error, and nothing is left out."""
    with closing(ConfluentProducer(cluster.bootstrap, queue_buffering_max_messages=3)) as producer:
        sendings = [producer.send(topic, b"%d" % number, b"k") for number in range(300)]
        assert [sending.get(300).offset for sending in sendings] == list(range(300))


def test_only_a_time_out_is_unknown(settings):
    """A broker that was frozen after it had answered: stored or not."""
    with private(settings=settings) as kafka, closing(ConfluentProducer(kafka.bootstrap, **QUICK)) as producer:
        there = kafka.create_topic("98-exact")
        producer.send(there, b"1", b"k").get(300)
        with faults.paused(kafka.broker(1)), pytest.raises(errors.KafkaTimeoutError) as caught:
            producer.send(there, b"2", b"k").get(300)
    assert not is_refusal(caught.value)


def test_the_account_tells_refused_from_unanswered(cluster, topic):
    """The first is refused; what became of the others is heard before the report is drawn up."""
    cluster.create_topic(topic, max_message_bytes=500)
    offsets = offset_range.OffsetRange(0, 0, 3, 0, 3)
    counter = ReplayCounter.on(ReplayReport("t", "r", (offsets,), read=3, chosen=3, reached={0: 3}), "sent", False)
    producer = cluster.producer(name="p", linger_ms=0, enable_idempotence=False)
    sender = Sender(cluster.consumer(name="c"), producer, counter)
    cluster.producer(name="q").send(topic, b"r").get(300)
    (record,) = log.read(cluster, topic).records
    for value in (b"x" * 900, b"2", b"3"):
        sender.send(record, Outgoing(topic, b"k", value))
    with pytest.raises(errors.MessageSizeTooLargeError):
        sender.finish()
    report = counter.report
    assert report.unanswered == 0
    assert report.done + sum(report.refused.values()) == 3
    assert "refused, and not stored: MessageSizeTooLargeError" in str(report)
    assert not report.complete
    assert len(log.read(cluster, topic).records) == 1 + report.done
