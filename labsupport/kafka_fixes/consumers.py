"""Workarounds for consumers: losing a broker, topics, joining a group, resuming a partition, ending an iteration."""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.coordinator.base import MemberState
from kafka.errors import BrokerResponseError, KafkaTimeoutError, RetriableError, TopicAuthorizationFailedError
from kafka.util import Timer

from labsupport.kafka_fixes.unreadable_records import readable


def repaired(consumer: KafkaConsumer) -> KafkaConsumer:
    """Apply the workarounds that a consumer needs all its life; returns the consumer. A second call does nothing."""
    return ask_for_all_topics(outlive_brokers(readable(consumer)))


def outlive_brokers(consumer: KafkaConsumer) -> KafkaConsumer:
    """Search for coordinator, position and leader until the caller's timeout, also while no broker answers.

    Fault (3.0.12): each of the three requests new metadata when it cannot go on. If that request fails too, its
    KafkaConnectionError comes out of poll(), commit(), committed() or position(), although it is retriable. Whether it
    fails in time depends on the backoff, so a restarted broker ends a consumer once in a dozen times.
    Not reported that we found.
    """
    _search_on(consumer, consumer._coordinator, "ensure_coordinator_ready_async")
    for name in ("_reset_offsets_async", "_validate_offsets_async"):
        _search_on(consumer, consumer._fetcher, name, consumer.config["request_timeout_ms"])
    return consumer


def _search_on(consumer: KafkaConsumer, part: Any, name: str, at_most_ms: float | None = None) -> None:
    if name in vars(part):
        return
    search = getattr(part, name)

    async def persistent(timeout_ms: float | None = None) -> bool:
        timer = Timer(at_most_ms if timeout_ms is None else timeout_ms)
        while not timer.expired:
            with contextlib.suppress(RetriableError):
                return await search(timeout_ms=timer.timeout_ms)
            await consumer._net.sleep(consumer.config["retry_backoff_ms"] / 1000)
        return False

    setattr(part, name, persistent)


def ask_for_all_topics(consumer: KafkaConsumer) -> KafkaConsumer:
    """Let `topics()` and `partitions_for_topic()` answer although a request for the subscription is under way.

    Fault (3.0.12): `_fetch_all_topic_metadata` waits for that request, and lets out its error. If the consumer
    subscribes to one topic, which does not exist, UnknownTopicOrPartitionError comes out of a question about any other.
    Whether a request is under way is a matter of luck. And a request that waits for its connection fails when that took
    longer than the request may, without having been sent. Not reported that we found.
    """
    if "_fetch_all_topic_metadata" in vars(consumer):
        return consumer
    fetch, cluster = consumer._fetch_all_topic_metadata, consumer._cluster

    def persistent() -> None:
        timer = Timer(consumer.config["request_timeout_ms"])
        asks_for_all = cluster.need_all_topic_metadata
        while True:
            last = timer.expired
            try:
                return fetch()
            # About a topic: this request is for all of them, so it was another's. Or never sent.
            except (BrokerResponseError, KafkaTimeoutError):
                if last:
                    raise
            finally:
                cluster.need_all_topic_metadata = asks_for_all

    consumer._fetch_all_topic_metadata = persistent
    return consumer


def ask_for_topics(consumer: KafkaConsumer, *topics: str) -> None:
    """Request the metadata of the topics, or of all, between subscribing and the first poll.

    Fault (3.0.12): without metadata the consumer joins its group twice. The first join assigns nothing, because the
    leader knows no partitions; the second follows when metadata comes. The client remembers the pending rejoin only as
    "subscription differs", and the JoinGroup response clears that. If `poll()` returns before SyncGroup is answered, no
    later poll finishes the join: the member stays without partitions. With members that one thread polls in turn, for
    100 ms each, this happens again and again.
    Not reported that we found; https://github.com/dpkp/kafka-python/issues/1237 has the symptom, with a pattern.

    The client would wait its retry backoff (0.1 s) first, because it has just asked for the brokers, without an error.
    """
    config = consumer._cluster.config
    backoff, config["retry_backoff_ms"] = config["retry_backoff_ms"], 0
    try:
        for topic in topics:
            consumer.partitions_for_topic(topic)
        if not topics:
            consumer.topics()
    finally:
        config["retry_backoff_ms"] = backoff


def require_right_to_read(admin: KafkaAdminClient, topics: Sequence[str]) -> None:
    """Raise TopicAuthorizationFailedError if one of these topics, which a consumer does not know, is a forbidden one.

    Fault (3.0.12): a consumer without a group polls such a topic for ever, gets nothing, and raises nothing; it logs an
    error. Not reported that we found.
    """
    described = admin.describe_topics(list(topics))
    forbidden = [each["name"] for each in described if each["error_code"] == TopicAuthorizationFailedError.errno]
    if forbidden:
        raise TopicAuthorizationFailedError(", ".join(forbidden))


def pattern_of(consumer: KafkaConsumer) -> Any:
    """The pattern that the consumer subscribes to; None if it has none. The client has no public way to ask."""
    return consumer._subscription.subscribed_pattern


def has_joined(consumer: KafkaConsumer) -> bool:
    """Whether the client has finished joining its group, and is not about to join again.

    For the broker it is a member earlier, and also if a short `poll()` ended before the client knew. The client has no
    public way to ask: its assignment may be that of an earlier generation.
    """
    coordinator = consumer._coordinator
    return coordinator.state is MemberState.STABLE and not coordinator.need_rejoin()


def listen(consumer: KafkaConsumer, listener: ConsumerRebalanceListener) -> None:
    """Set the rebalance listener of a consumer that has subscribed already.

    Fault (3.0.12): the only public way is to subscribe again, and with a pattern that forgets which topics the pattern
    has found. Not reported that we found.
    """
    if pattern_of(consumer):
        consumer._subscription.rebalance_listener = listener
        ask_for_topics(consumer)
    elif topics := consumer.subscription():
        consumer.subscribe(list(topics), listener=listener)


def resume(consumer: KafkaConsumer, partitions: Iterable[TopicPartition]) -> None:
    """Resume partitions, as `consumer.resume` should. Partitions that the consumer no longer has are left alone.

    Fault (3.0.12): records that were fetched before a pause are parked, and while they are, the partition is not
    fetched. `fetched_records` hands them out only if `_next_partition_records is None`, but after another partition was
    read to its end it is an empty object. So the partition stands still, without an error. Here the parked records are
    dropped, and the client fetches them again from the same position.
    Parking came with https://github.com/dpkp/kafka-python/pull/2981 (KAFKA-7548); the symptom in 3.0.7 and 3.0.8 is
    https://github.com/dpkp/kafka-python/issues/3131.
    """
    parked = consumer._fetcher._paused_partition_records
    for partition in partitions:
        parked.pop(partition, None)
        with contextlib.suppress(KeyError):
            consumer.resume(partition)


def end_iteration(consumer: KafkaConsumer, silence_ms: int = 100) -> None:
    """Let a running `for record in consumer` end after `silence_ms` without a record.

    Fault (3.0.12): the limit, `consumer_timeout_ms`, is fixed when the consumer is made, and there is no public way to
    end an iteration. The client reads its own setting again for each record. Not reported that we found.
    """
    consumer.config["consumer_timeout_ms"] = silence_ms
