"""Traces by hand, with OpenTelemetry's API and SDK: spans, and a `traceparent` in a record's headers. Lesson 14.

A producer's span creates the message's context, and `inject` writes it into the headers (W3C Trace Context). A consumer
reads it with `extract`. Each attempt to handle the record is a trace of its own, whose span has a *link* to the span
that created the message, as OpenTelemetry's conventions for messaging ask for: there may be several attempts, and hours
in between. A copy of the message, such as a dead letter or a redriven record, keeps the headers, and so the context.

The names of attributes are those of the installed package `opentelemetry-semantic-conventions`.

A span is exported when it ends. The span of a killed process never ends, so no backend ever gets it: a trace shows a
gap. A `Recorder` with a file also notes each start, which tells where the gap is.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kafka.consumer.fetcher import ConsumerRecord
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.semconv._incubating.attributes import messaging_attributes as messaging
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from labsupport.delivery.reading import id_of
from labsupport.shop.event import id_in

if TYPE_CHECKING:
    import pandas

W3C = TraceContextTextMapPropagator()
TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
NEVER_ENDED = "never ended"
ELSEWHERE = "elsewhere"  # a span that was not recorded
NONE = "–"

Headers = Iterable[tuple[str, bytes | None]]


# The context in a record's headers


def inject(headers: Headers | None, span: trace.Span | None = None) -> list[tuple[str, bytes | None]]:
    """The headers with the context of `span`, by default the current one, instead of any that they had.

    They have exactly one `traceparent` then, the last header but for `tracestate`. Without a span they are unchanged.
    """
    carrier: dict[str, str] = {}
    W3C.inject(carrier, None if span is None else trace.set_span_in_context(span))
    if not carrier:
        return list(headers or ())
    kept = [(name, value) for name, value in headers or () if name.lower() not in W3C.fields]
    return [*kept, *((name, value.encode()) for name, value in carrier.items())]


def extract(headers: Headers | None) -> SpanContext | None:
    """The context in these headers; never raises.

    None if there is no `traceparent`, if it is damaged (upper case is), or if there are several: then nobody knows
    which one counts, and W3C's tests ask for a new trace. The header's *name* may be in any case.
    """
    found = [_text(value) for name, value in headers or () if name.lower() == TRACEPARENT]
    if len(found) != 1:
        return None
    states = [_text(value) for name, value in headers or () if name.lower() == TRACESTATE]
    carrier = {TRACEPARENT: found[0], TRACESTATE: ",".join(filter(None, states))}
    context = trace.get_current_span(W3C.extract(carrier, Context())).get_span_context()
    return context if context.is_valid else None


def links(headers: Headers | None) -> list[Link]:
    """A link to the span that created the message, if its headers have a readable context."""
    context = extract(headers)
    return [Link(context)] if context else []


def _text(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""


# Spans


@dataclass(frozen=True)
class SpanData:
    """A span as it was recorded.

    `service` is its process, by name. `kind`: producer, consumer, internal …. `trace`, `span`, `parent` ("" for none)
    and the spans in `links` are ids in hex. `error` is the class of the error that ended it. `start`: nanoseconds since
    1970. `ended` is false if its process died in it: then only a recorder's file knows of the span.
    """

    service: str
    name: str
    kind: str
    trace: str
    span: str
    parent: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    error: str
    start: int
    ended: bool = True

    @classmethod
    def of(cls, span: ReadableSpan) -> "SpanData":
        """What the SDK knows of a span."""
        own, attributes = span.get_span_context(), dict(span.attributes or {})
        failed = span.status.status_code is StatusCode.ERROR
        return cls(
            service=str(span.resource.attributes.get("service.name", "")),
            name=span.name,
            kind=span.kind.name.lower(),
            trace=trace.format_trace_id(own.trace_id) if own else "",
            span=trace.format_span_id(own.span_id) if own else "",
            parent=trace.format_span_id(span.parent.span_id) if span.parent else "",
            links=tuple(trace.format_span_id(link.context.span_id) for link in span.links),
            attributes=attributes,
            error=str(attributes.get(ERROR_TYPE, "error")) if failed else "",
            start=span.start_time or 0,
            ended=span.end_time is not None,
        )

    @property
    def event_id(self) -> str:
        """The id of the event that it is about; "" if it does not say."""
        return str(self.attributes.get(messaging.MESSAGING_MESSAGE_ID, ""))

    @property
    def record(self) -> str:
        """The partition and offset of the record that it is about, such as 0/3; – if it does not say."""
        partition = self.attributes.get(messaging.MESSAGING_DESTINATION_PARTITION_ID)
        offset = self.attributes.get(messaging.MESSAGING_KAFKA_OFFSET)
        return NONE if None in (partition, offset) else f"{partition}/{offset}"

    @property
    def outcome(self) -> str:
        """ok, the class of the error, or that it never ended."""
        return self.error or ("ok" if self.ended else NEVER_ENDED)


class Recorder:
    """The spans of one service: made with `tracer`, listed by `spans`. It has no network, and is no global provider.

    With a `file` each span is written there as it starts and as it ends: this survives a crash, and several processes
    may write to one file.
    """

    def __init__(self, service: str, file: Path | None = None):
        self.file, self._memory = file, InMemorySpanExporter()
        # Explicit, because variables of the environment would set them: other programs' traces are none of ours.
        self.provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource({"service.name": service}), shutdown_on_exit=False
        )
        self.provider.add_span_processor(_Journal(file) if file else SimpleSpanProcessor(self._memory))
        self.tracer: Tracer = self.provider.get_tracer("lab")

    @property
    def spans(self) -> tuple[SpanData, ...]:
        """The spans so far, in the order in which they began; of a file also those that never ended."""
        return read(self.file) if self.file else in_order(map(SpanData.of, self._memory.get_finished_spans()))


class _Journal(SpanProcessor):
    """Appends each span to a file, as it starts and as it ends, so that a crash loses neither."""

    def __init__(self, file: Path):
        self.file = file

    def on_start(self, span: ReadableSpan, parent_context: Context | None = None) -> None:  # noqa: ARG002
        self._append(span)

    def on_end(self, span: ReadableSpan) -> None:
        self._append(span)

    def _append(self, span: ReadableSpan) -> None:
        line = json.dumps(asdict(SpanData.of(span)), default=str).encode() + b"\n"
        with self.file.open("ab", buffering=0) as file:  # one write, even while other processes append
            file.write(line)


def read(file: Path) -> tuple[SpanData, ...]:
    """The spans in a recorder's file, in the order in which they began; none if there is no such file."""
    if not file.exists():
        return ()
    whole, _, _ = file.read_text(encoding="ascii").rpartition("\n")  # the last line may be incomplete
    spans: dict[str, SpanData] = {}
    for line in whole.splitlines():
        fields = json.loads(line)
        spans[fields["span"]] = SpanData(**fields | {"links": tuple(fields["links"])})
    return in_order(spans.values())


def in_order(spans: Iterable[SpanData]) -> tuple[SpanData, ...]:
    """The spans in the order in which they began, on one machine's clock."""
    return tuple(sorted(spans, key=lambda span: span.start))


def of_event(spans: Iterable[SpanData], event_id: str) -> tuple[SpanData, ...]:
    """The spans about this event, also where no parent and no link leads."""
    return tuple(span for span in spans if span.event_id == event_id)


# What producers and workers do in a span


class TracedProducer:
    """A producer that makes a span of each `send` and injects its context; all else goes to `producer`.

    With `forwards` it sends copies of messages that were created elsewhere, as a redrive or the writer of dead letters
    does: its spans have links, and the headers stay as they are. The span lasts as long as the call of `send`; whether
    the broker acknowledged the record is said by what that returns.
    """

    def __init__(self, producer: Any, tracer: Tracer, *, forwards: bool = False):
        self._producer, self._tracer, self._forwards = producer, tracer, forwards

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes | None]] | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Any:
        """Send as the producer does, in a span; returns what the producer returns."""
        about = _attributes("send", topic, id_in(headers or (), value), partition)
        created = links(headers) if self._forwards else []
        with _span(self._tracer, f"send {topic}", SpanKind.PRODUCER, about, created, own=self._forwards) as span:
            if not self._forwards:
                headers = inject(headers, span)
            return self._producer.send(topic, value, key, headers, partition, timestamp_ms)


def traced(
    tracer: Tracer,
    handle: Callable[[Any], object],
    *,
    group: str = "",
    decode: Callable[[ConsumerRecord], Any] = lambda record: record,
) -> Callable[[ConsumerRecord], None]:
    """A handler of records for a worker: it calls `handle(decode(record))` in a span.

    Each attempt is a trace of its own, with a link to the span that created the message. An error comes out, and ends
    the span with its class.
    """

    def attempt(record: ConsumerRecord) -> None:
        about = _attributes("process", record.topic, id_of(record), record.partition)
        about |= {messaging.MESSAGING_KAFKA_OFFSET: record.offset, messaging.MESSAGING_CONSUMER_GROUP_NAME: group}
        created = links(record.headers)
        with _span(tracer, f"process {record.topic}", SpanKind.CONSUMER, about, created, own=True):
            handle(decode(record))

    return attempt


@contextlib.contextmanager
def _span(
    tracer: Tracer, name: str, kind: SpanKind, about: dict[str, Any], created: list[Link], *, own: bool
) -> Iterator[trace.Span]:
    """A span for the body of a `with`; `own`: in a trace of its own, whatever span is current."""
    with tracer.start_as_current_span(name, Context() if own else None, kind, about, created) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute(ERROR_TYPE, type(error).__qualname__)
            raise


def _attributes(operation: str, topic: str, event_id: str, partition: int | None) -> dict[str, Any]:
    """What the conventions for messaging ask for. `operation`: its name and its type, send or process."""
    about: dict[str, Any] = {
        messaging.MESSAGING_SYSTEM: "kafka",
        messaging.MESSAGING_OPERATION_NAME: operation,
        messaging.MESSAGING_OPERATION_TYPE: operation,
        messaging.MESSAGING_DESTINATION_NAME: topic,
    }
    if event_id:
        about[messaging.MESSAGING_MESSAGE_ID] = event_id
    if partition is not None:
        about[messaging.MESSAGING_DESTINATION_PARTITION_ID] = str(partition)
    return about


# For tables and pictures: numbers instead of random ids, an order instead of times


def table(spans: Sequence[SpanData]) -> "pandas.DataFrame":
    """A row per span, numbered in the given order: its service, its record, its trace, parent, links and outcome.

    Traces are numbered in their order; parent and links are numbers of rows.
    """
    import pandas  # here, because it takes longer to import than all the rest of a lesson

    numbers = _numbers(spans)
    traces = {each: number for number, each in enumerate(dict.fromkeys(span.trace for span in spans), start=1)}
    columns = ["service", "span", "record", "trace", "child of", "linked to", "outcome"]
    rows = [
        (span.service, span.name, span.record, traces[span.trace],
         numbers.get(span.parent, ELSEWHERE) if span.parent else NONE,
         ", ".join(numbers.get(each, ELSEWHERE) for each in span.links) or NONE, span.outcome)
        for span in spans
    ]  # fmt: skip
    return pandas.DataFrame(rows, columns=columns, index=pandas.RangeIndex(1, len(rows) + 1, name="no"))


def written_by(headers: Headers, spans: Sequence[SpanData]) -> list[str]:
    """For each `traceparent` of these headers the span whose context it is: its number in `table`, or elsewhere."""
    numbers = _numbers(spans)
    contexts = [extract([header]) for header in headers if header[0].lower() == TRACEPARENT]
    return [numbers.get(trace.format_span_id(each.span_id), ELSEWHERE) if each else "damaged" for each in contexts]


def _numbers(spans: Sequence[SpanData]) -> dict[str, str]:
    return {span.span: str(number) for number, span in enumerate(spans, start=1)}
