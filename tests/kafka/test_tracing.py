"""An event's trace on a real broker, through a killed process, a dead letter and a redrive."""

import pytest
from kafka import KafkaProducer

from labsupport import lesson
from labsupport.delivery.reading import READS
from labsupport.experiments.breaking import traced_road
from labsupport.observability import tracing
from labsupport.observability.ready_made import instrumented
from labsupport.shop import story


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("97")


def test_one_event_on_its_whole_road(lab):
    """One context from the producer to the last attempt; a killed process leaves a span that never ended."""
    topic = lab.topic("road")
    dead = lab.dead_letters(topic)
    spans = traced_road.travel(lab, topic, lab.group("road"))
    found = tracing.table(spans).drop(columns="trace")
    assert [tuple(row) for row in found.itertuples(index=False)] == [
        ("shop", f"send {topic}", "–", "–", "–", "ok"),
        ("payments 1", f"process {topic}", "0/0", "–", "1", "never ended"),
        ("payments 2", f"process {topic}", "0/0", "–", "1", "KeyError"),
        ("payments 2", f"process {topic}", "0/0", "–", "1", "KeyError"),
        ("payments 2", f"send {dead}", "–", "–", "1", "ok"),
        ("redrive", f"send {topic}", "–", "–", "1", "ok"),
        ("payments 3", f"process {topic}", "0/1", "–", "1", "ok"),
    ]
    assert len({span.trace for span in spans}) == len(spans)
    assert {span.event_id for span in spans} == {story.events(1)[0].event_id}
    headers = traced_road.traceparents(lab, spans, topic, dead)
    assert headers == {f"{topic}/0/0": ["1"], f"{topic}/0/1": ["1"], f"{dead}/0/0": ["1"]}


def test_an_event_that_works_has_a_short_road(lab):
    """Without an error there is a redelivery, but neither a dead letter nor a redrive."""
    topic = lab.topic("short-road")
    lab.dead_letters(topic)
    spans = traced_road.travel(lab, topic, lab.group("short-road"), handle=traced_road.works)
    assert [(span.service, span.outcome) for span in spans] == [
        ("shop", "ok"), ("payments 1", "never ended"), ("payments 2", "ok")
    ]  # fmt: skip


@pytest.mark.parametrize("poll", [False, True])
def test_what_the_ready_made_instrumentation_makes_of_it(lab, poll):
    """The loop's work is in another trace, `poll` has no span at all, and a record sent on has two contexts."""
    topic, onward = lab.topic("ready-made"), lab.topic("sent-on")
    send = KafkaProducer.send
    spans = traced_road.ready_made(lab, topic, onward, poll=poll)
    received = [] if poll else [("payments", f"{topic} receive", 1, "1")]
    found = tracing.table(spans)[["service", "span", "trace", "child of"]]
    handled = str(len(received) + 2)
    assert [tuple(row) for row in found.itertuples(index=False)] == [
        ("shop", f"{topic} send", 1, "–"),
        *received,
        ("payments", "handle", 2, "–"),
        ("payments", f"{onward} send", 2, handled),
    ]
    headers = traced_road.traceparents(lab, spans, topic, onward)
    assert headers == {f"{topic}/0/0": ["1"], f"{onward}/0/0": ["1", str(len(spans))]}
    assert KafkaProducer.send is send  # the classes are as they were


def test_a_damaged_header_ends_a_loop_with_the_ready_made_instrumentation(lab):
    """One record with a header that is not UTF-8; by hand it has no context, and is handled."""
    topic = lab.topic("damaged")
    lab.producer(name="shop").send(topic, b"v", headers=[("traceparent", b"\xff")]).get(timeout=300)
    payments = tracing.Recorder("payments")
    consumer = lab.consumer(topic, name="payments", **READS)
    with instrumented(payments), pytest.raises(UnicodeDecodeError):
        next(consumer)
    consumer = lab.consumer(topic, name="payments", **READS)
    tracing.traced(payments.tracer, lambda record: record.value)(next(consumer))
    assert [(span.outcome, span.links) for span in payments.spans] == [("ok", ())]


def test_one_list_of_headers_for_three_sends(lab):
    """The ready-made instrumentation adds to the caller's list; by hand it stays as it is."""
    topic, mine = lab.topic("one-list"), [("a", b"1")]
    producer, shop = lab.producer(name="shop"), tracing.Recorder("shop")
    for _ in range(3):
        tracing.TracedProducer(producer, shop.tracer).send(topic, b"v", headers=mine).get(timeout=300)
    assert mine == [("a", b"1")]
    with instrumented(shop):
        for _ in range(3):
            producer.send(topic, b"v", headers=mine).get(timeout=300)
    assert [len(each) for each in traced_road.traceparents(lab, shop.spans, topic).values()] == [1, 1, 1, 1, 2, 3]
