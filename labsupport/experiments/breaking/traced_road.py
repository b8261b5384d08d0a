"""One event on its road: a crash, a redelivery, a dead letter and a redrive, with a span at each step. Lesson 14.

Everything is real: the service is the lab's worker, and its first process is killed while it handles the event.
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.broker.cluster import Cluster
from labsupport.delivery import dead_letter, reading
from labsupport.delivery.catch_up import event_in
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.retry import Policy
from labsupport.delivery.worker import Worker
from labsupport.experiments.breaking import faults, python_process
from labsupport.experiments.breaking.faults import At
from labsupport.experiments.watching import log
from labsupport.history import redrive
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.observability.ready_made import instrumented
from labsupport.observability.tracing import Recorder, SpanData, TracedProducer, in_order, traced, written_by
from labsupport.shop import story
from labsupport.shop.event import Event
from labsupport.waiting import until

Handle = Callable[[Event], object]

CRASH = "handling it"  # the point inside the handler where the first process is killed
HANDLE = "handle"  # the span around the loop's work
POLICY = Policy(attempts=2, wait_initial=0.1)


def fails(event: Event) -> None:
    """The service with a bug: raises KeyError for every event."""
    raise KeyError(event.event_type)


def works(_event: Event) -> None:
    """The service without the bug."""


def travel(
    kafka: Cluster, topic: str, group: str, *, handle: Handle = fails, mended: Handle = works
) -> tuple[SpanData, ...]:
    """Send an event to the empty `topic` and let it go the whole road; returns the spans, in the order they began.

    The service's process is killed in its first attempt. Started again, it retries once; with `fails` the event then
    becomes a dead letter, which is redriven to the service with the handler `mended`. The topic has a dead letter
    topic: `lab.dead_letters(topic)`.
    """
    kafka.delete_groups([group])
    event = story.events(1)[0]
    shop, tool = Recorder("shop"), Recorder("redrive")
    producer = TracedProducer(kafka.producer(name="shop"), shop.tracer)
    producer.send(topic, event.encode(), story.key_of(event), event.headers()).get(timeout=60)
    with python_process.scratch_folder() as folder:
        file = folder / "spans"
        faults.run(kafka, _serve, topic, group, file, "payments 1", handle, kill_at=CRASH)
        kafka.evict(group)  # otherwise its partitions are its own until its session ends
        _serve(kafka, None, topic, group, file, "payments 2", handle)
        with contextlib.closing(ConfluentProducer(kafka.connection)) as sender:
            back = TracedProducer(sender, tool.tracer, forwards=True)
            letters = redrive.selection(dead_letter.topic_of(topic))
            redrive.redrive(kafka.consumer(name="redrive"), back, letters)  # type: ignore[arg-type]
        _serve(kafka, None, topic, group, file, "payments 3", mended)
        payments = Recorder("payments", file).spans
    return in_order([*shop.spans, *payments, *tool.spans])


def ready_made(kafka: Cluster, topic: str, onward: str, *, poll: bool = False) -> tuple[SpanData, ...]:
    """What the ready-made instrumentation makes of a short road; returns the spans, in the order they began.

    An event is sent to `topic`. A service iterates over its consumer, or calls `poll`; it handles the record in a span
    of its own, and there sends it on to `onward` with the headers that it had. The topics are empty.
    """
    event = story.events(1)[0]
    shop, payments = Recorder("shop"), Recorder("payments")
    producer = kafka.producer(name="shop")
    consumer = kafka.consumer(topic, name="payments", **reading.READS)
    try:
        with instrumented(shop):
            producer.send(topic, event.encode(), story.key_of(event), event.headers()).get(timeout=60)
        with instrumented(payments):
            record = _polled(consumer) if poll else next(consumer)
            with payments.tracer.start_as_current_span(HANDLE):
                producer.send(onward, record.value, record.key, record.headers).get(timeout=60)
    finally:
        kafka.close_client("payments")
    return in_order([*shop.spans, *payments.spans])


def traceparents(kafka: Cluster, spans: Sequence[SpanData], *topics: str) -> dict[str, list[str]]:
    """Which spans wrote the `traceparent` headers of each record of these topics, by topic/partition/offset.

    A span is the number of its row in `tracing.table(spans)`.
    """
    return {
        f"{record.topic}/{record.partition}/{record.offset}": written_by(record.headers, spans)
        for topic in topics
        for record in log.read(kafka, topic).records
    }


def _polled(consumer: KafkaConsumer) -> ConsumerRecord:
    polled = until(lambda: consumer.poll(timeout_ms=200), 60, "the event")
    ((record,),) = polled.values()
    return record


def _serve(kafka: Cluster, at: At | None, topic: str, group: str, file: Path, name: str, handle: Handle) -> None:
    """Let a worker handle what is left of the topic; it writes its spans to `file`."""

    def attempt(event: Event) -> None:
        if at:
            at(CRASH)
        handle(event)

    tracer = Recorder(name, file).tracer
    letters = f"{name}-dead-letters"
    consumer = kafka.consumer(topic, name=name, group_id=group, **reading.READS)
    producer = TracedProducer(kafka.producer(name=letters, **dead_letter.producer_settings()), tracer, forwards=True)
    handler = traced(tracer, attempt, group=group, decode=event_in)
    try:
        worker = Worker(consumer, handler, error_handler=ErrorHandler(producer, POLICY))  # type: ignore[arg-type]
        worker.run(until=reading.at_the_end(consumer))
    finally:
        kafka.close_client(name)
        kafka.close_client(letters)
