"""Records whose values are JSON, without an envelope: what other designs than the shop's publish. Lesson 16."""

import json
from collections.abc import Iterable
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.broker.cluster import Cluster
from labsupport.experiments.watching import log


def send(kafka: Cluster, topic: str, values: Iterable[Any]) -> None:
    """Send a record for each value; returns when all are acknowledged."""
    producer = kafka.producer(name="json-records")
    for sending in [producer.send(topic, json.dumps(value).encode()) for value in values]:
        sending.get(timeout=60)


def read(kafka: Cluster, topic: str) -> list[Any]:
    """The values of all records of the topic. Raises ValueError if one is not JSON."""
    return [decode(record) for record in log.read(kafka, topic).records]


def decode(record: ConsumerRecord) -> Any:
    """The record's value. Raises ValueError if it is not JSON."""
    return json.loads(record.value)
