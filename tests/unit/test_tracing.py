"""A context in headers that anybody may have damaged, and spans in tables and pictures. Pure."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.consumer.fetcher import ConsumerRecord
from opentelemetry import trace

from labsupport.experiments.watching.plots.span_lanes import spans as draw
from labsupport.observability import tracing
from labsupport.observability.tracing import Recorder, TracedProducer, extract, inject, traced

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HEADER = ("traceparent", GOOD.encode())
FORM = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Sends:
    """A producer's `send`, which keeps what it was given."""

    def __init__(self):
        self.sent = []

    def send(self, *given):
        self.sent.append(given)
        return given


def record(offset=0, headers=(HEADER,), value=b"v"):
    """A record of the topic orders."""
    return ConsumerRecord("orders", 0, 0, offset, 0, 0, b"k", value, list(headers), None, 1, 1, 1)


def test_a_context_goes_out_and_comes_in():
    """What inject writes, extract reads: the same trace and span, as bytes in lower case."""
    with Recorder("shop").tracer.start_as_current_span("send") as span:
        headers = inject([("event_id", b"E1")])
    ((name, value),) = headers[1:]
    assert headers[0] == ("event_id", b"E1")
    assert name == "traceparent"
    assert FORM.fullmatch(value)
    found, own = extract(headers), span.get_span_context()
    assert (found.trace_id, found.span_id) == (own.trace_id, own.span_id)


def test_inject_replaces_every_old_context():
    """Also doubled ones, names in upper case and a tracestate; all else stays where it was."""
    old = [("a", b"1"), HEADER, ("Traceparent", b"x"), ("tracestate", b"v=1"), ("b", None), ("a", b"2")]
    span = Recorder("shop").tracer.start_span("send")
    headers = inject(old, span)
    assert [name for name, _ in headers] == ["a", "b", "a", "traceparent"]
    assert extract(headers).span_id == span.get_span_context().span_id
    assert old[1] == HEADER  # the list that came in is as it was


def test_without_a_span_the_headers_stay():
    """There is nothing to inject."""
    assert inject([HEADER]) == [HEADER]
    assert inject(None) == []


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        [("event_id", b"E1")],
        [("traceparent", None)],
        [("traceparent", b"")],
        [("traceparent", GOOD.upper().encode())],
        [("traceparent", GOOD.encode()[:-1])],
        [("traceparent", GOOD.encode() + b"-more")],
        [("traceparent", b"ff" + GOOD.encode()[2:])],
        [("traceparent", b"00-" + b"0" * 32 + GOOD.encode()[35:])],
        [("traceparent", GOOD.encode()[:36] + b"0" * 16 + b"-01")],
        [("traceparent", "00-٤bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".encode())],
        [("traceparent", 7)],
        [HEADER, HEADER],
        [HEADER, ("Traceparent", GOOD.encode())],
    ],
)  # fmt: skip
def test_no_context_in_damaged_headers(headers):
    """Missing, empty, upper case, cut, of a forbidden version, all zeros, not ASCII, no text, doubled."""
    assert extract(headers) is None
    assert tracing.links(headers) == []


@pytest.mark.parametrize("header", [HEADER, ("TraceParent", GOOD.encode()), ("traceparent", GOOD)])
def test_a_context_is_found(header):
    """The name in any case; text that has not been sent yet counts as its bytes."""
    context = extract([("a", b"1"), header])
    assert trace.format_trace_id(context.trace_id) == GOOD[3:35]
    assert context.is_remote


NAMES = st.sampled_from(["traceparent", "Traceparent", "tracestate", "TRACESTATE", "event_id", ""])
DAMAGED = st.builds(
    lambda good, at, junk: good[:at] + junk + good[at + len(junk) :],
    st.just(GOOD.encode()), st.integers(0, len(GOOD)), st.binary(max_size=4),
)  # fmt: skip
VALUES = st.one_of(st.none(), st.binary(), st.text(), DAMAGED, st.just(GOOD.encode()), st.just(b"a=1,b=2"))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_no_header_makes_it_raise(headers):
    """Whatever the headers are, there is an answer: a valid context from exactly one traceparent, or none."""
    found = extract(headers)
    parents = [value for name, value in headers if name.lower() == "traceparent"]
    assert found is None or (found.is_valid and len(parents) == 1)
    if parents == [GOOD.encode()]:
        assert trace.format_span_id(found.span_id) == GOOD[36:52]
    span = Recorder("shop").tracer.start_span("send")
    out = inject(headers, span)
    assert [name.lower() for name, _ in out].count("traceparent") == 1
    assert extract(out).span_id == span.get_span_context().span_id


def test_each_attempt_is_a_trace_of_its_own_linked_to_the_message():
    """Also inside another span; an error ends the attempt's span with its class and comes out."""
    recorder, handled = Recorder("payments"), []
    handler = traced(recorder.tracer, handled.append, group="g", decode=lambda record: record.value)
    with recorder.tracer.start_as_current_span("poll"):
        handler(record())
    failing = traced(recorder.tracer, lambda _: {}["no"], group="g")
    with pytest.raises(KeyError):
        failing(record(offset=1, headers=[]))
    _, first, second = recorder.spans
    assert handled == [b"v"]
    assert (first.name, first.kind, first.parent, first.links) == ("process orders", "consumer", "", (GOOD[36:52],))
    assert first.trace != GOOD[3:35]
    assert (first.record, first.outcome, first.event_id) == ("0/0", "ok", "orders-0-0")
    assert (second.links, second.outcome) == ((), "KeyError")
    assert first.attributes | {"messaging.kafka.offset": 1, "messaging.message.id": "orders-0-1"} == {
        name: value for name, value in second.attributes.items() if name != "error.type"
    }
    assert first.attributes["messaging.operation.type"] == "process"
    assert first.attributes["messaging.consumer.group.name"] == "g"


def test_a_producer_creates_a_context_and_a_forwarder_keeps_it():
    """A new event made from a consumed one gets a new context; a copy keeps the header and has a link to it."""
    recorder, sends = Recorder("shop"), Sends()
    TracedProducer(sends, recorder.tracer).send("orders", b"v", b"k", [HEADER], 0, 5)
    TracedProducer(sends, recorder.tracer, forwards=True).send("orders-dlt", b"v", headers=[HEADER])
    created, forwarded = recorder.spans
    (topic, value, key, headers, partition, timestamp), copy = sends.sent
    assert (topic, value, key, partition, timestamp) == ("orders", b"v", b"k", 0, 5)
    assert trace.format_span_id(extract(headers).span_id) == created.span
    assert (copy[3], forwarded.links, created.links) == ([HEADER], (GOOD[36:52],), ())
    assert forwarded.attributes["messaging.operation.type"] == "send"


def test_what_the_environment_says_of_traces_does_not_count(monkeypatch):
    """A sampler or a service name that is meant for another program changes nothing here."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "theirs")
    recorder = Recorder("shop")
    recorder.tracer.start_span("send").end()
    assert [span.service for span in recorder.spans] == ["shop"]


def test_a_file_keeps_spans_that_never_end(tmp_path):
    """Also when its last line is incomplete: a process may die while it writes."""
    recorder = Recorder("payments", tmp_path / "spans")
    assert recorder.spans == ()
    recorder.tracer.start_span("one").end()
    recorder.tracer.start_span("two")
    with recorder.file.open("ab") as file:
        file.write(b'{"service"')
    assert [(span.name, span.outcome) for span in recorder.spans] == [("one", "ok"), ("two", "never ended")]


def test_table_and_picture_have_no_ids_and_no_times():
    """Spans and traces are numbered in their order; what was not recorded is elsewhere."""
    recorder = Recorder("shop")
    with recorder.tracer.start_as_current_span("receive"):
        recorder.tracer.start_span("parse").end()
    sent, parsed = recorder.spans
    lost = replace(sent, service="payments", span="1", trace="2", links=(sent.span, "3"), parent="4", ended=False)
    found = tracing.table([sent, parsed, lost])
    assert list(found.index) == [1, 2, 3]
    assert found["trace"].tolist() == [1, 1, 2]
    assert found["child of"].tolist() == ["–", "1", "elsewhere"]
    assert found["linked to"].tolist() == ["–", "–", "1, elsewhere"]
    assert found["outcome"].tolist() == ["ok", "ok", "never ended"]
    assert repr(draw([sent, parsed, lost]).figure) == (
        "Picture: spans in lanes. 1 shop: receive, trace 1; 2 shop: parse, trace 1, child of 1; 3 payments: receive, "
        "trace 2, child of a span elsewhere, linked to 1, linked to a span elsewhere, never ended."
    )


def test_only_the_spans_of_one_event():
    """By the event's id, wherever the links lead."""
    recorder = Recorder("shop")
    for value in (b'{"event_id": "E1"}', b'{"event_id": "E2"}', b"no event"):
        TracedProducer(Sends(), recorder.tracer).send("orders", value)
    assert [span.event_id for span in tracing.of_event(recorder.spans, "E2")] == ["E2"]
