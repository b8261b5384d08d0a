"""14-3: the record that is sent on has one traceparent, and OpenTelemetry reads the right trace and span from Kafka."""

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from labsupport.course.exercise import Exercise, through_kafka
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, kind_of, shown

Headers = Sequence[tuple[str, bytes | None]]

ASKS = "a list of pairs (name, value)"
TRACES = random.Random(14)  # ids need not be secret, only different


def _digits(count: int, zeros: int = 0) -> str:
    """An id with so many digits, of which the first `zeros` are 0."""
    more = count - zeros
    return "0" * zeros + f"{TRACES.getrandbits(4 * more - 1) | 1 << (4 * more - 2):x}"


@dataclass(frozen=True)
class Received:
    """A consumed record's headers, and what they say: the trace and the flags, or nothing if they say nothing."""

    headers: Headers
    trace: str = ""
    flags: str = "01"
    why: str = "nobody has begun a trace"


def _hand_on(answer: Submission, lab: Lab) -> str:
    """Plain headers first, then damaged and doubled ones; what comes back goes through Kafka."""
    asked = [(each, _digits(16, n % 3), _digits(32, n % 3)) for n, each in enumerate(_received())]
    sent = []
    for question in asked:
        headers = _plain_headers(answer, *question)
        _judge(answer, *question, headers)
        if all(value is not None for _, value in headers):  # this client cannot send None
            sent.append((question, headers))
    log = through_kafka(lab, [{"value": b"", "headers": headers} for _, headers in sent])
    for (question, _), record in zip(sent, log.records, strict=True):
        _judge(answer, *question, record.headers)
    return f"Right for {len(asked)} records; OpenTelemetry read the trace of each of {len(sent)} from Kafka."


def _received() -> Iterator[Received]:
    """Records with a context, without one, with a damaged one, with several."""
    trace, parent, other = _digits(32), _digits(16), _digits(32)
    sound = f"00-{trace}-{parent}-01".encode()
    ids: list[tuple[str, bytes | None]] = [("event_id", b"4711"), ("type", b"OrderCreated")]
    own = [*ids, ("event_id", b"4712"), ("note", b"\xff\xfe"), ("Traceparent", b"a name of its own"), ("empty", b"")]
    yield Received([("traceparent", sound)], trace)
    yield Received([])
    yield Received([*ids, ("traceparent", sound), *own, *ids], trace)
    yield Received(own)
    yield Received([*own, ("traceparent", sound[:-1] + b"0"), ("tracestate", b"lab=1")], trace, "00")
    yield Received([("traceparent", sound), ("deleted", None), *ids], trace)
    yield from _sound()
    for bad, why in _damaged(trace, parent):
        yield Received([ids[0], ("traceparent", bad)], why=f"{why}: a new trace begins")
    first = ("traceparent", f"00-{other}-{parent}-01".encode())
    several = "nobody knows which of the two counts, so a new trace begins"
    yield Received([first, *own, ("traceparent", sound)], why=several)
    twin = sound[:-1] + b"0"
    for value in (b"damaged", b"", None, twin):
        yield Received([("traceparent", value), ids[0], ("traceparent", twin)], why=several)
    yield Received([first, first, ("traceparent", sound)], why=several.replace("two", "three"))


def _sound() -> Iterator[Received]:
    """Flags of each kind, and ids with as many zeros as there can be."""
    for trace, parent, flags in (
        (_digits(32, 5), _digits(16, 5), "01"),
        (f"{1:032x}", f"{1:016x}", "00"),
        (f"{1 << 124:032x}", f"{1 << 60:016x}", "01"),
        (_digits(32), _digits(16), "03"),
        (_digits(32), _digits(16), "02"),
    ):
        yield Received([("traceparent", f"00-{trace}-{parent}-{flags}".encode())], trace, flags)


def _damaged(trace: str, parent: str) -> Iterator[tuple[bytes | None, str]]:
    """Values with one thing wrong in each, and what it is.

    Nothing that OpenTelemetry reads nevertheless, as it does other versions and blanks around the value: whoever leaves
    the decision to it is right, too.
    """
    parts = ["00", trace, parent, "00"]
    sound = "-".join(parts)
    shapes = "-".join(parts[:3]), "", sound.upper(), f"{sound}-01", sound.replace("-", ""), f"00-{parent}-{trace}-00"
    for value in (None, b"\xff" * 55, *map(str.encode, shapes), f"ff{sound[2:]}".encode()):
        yield value, "the header is damaged (it does not begin with 00, or has not the four parts, in lower case)"
    for zeros in (f"00-{'0' * 32}-{parent}-00", f"00-{trace}-{'0' * 16}-00"):
        yield zeros.encode(), "an id of all zeros is no id"
    for number, (part, name) in enumerate(zip(parts, ("version", "trace", "span", "flags"), strict=True)):
        before = "".join(f"{each}-" for each in parts[:number])
        after = "".join(f"-{each}" for each in parts[number + 1 :])
        wrong_length = (part[:-1], part + "0")
        no_digit = [f"{each}{part[1:]}" for each in "g+A٣"] + [f"{part[0]}_{part[2:]}"]
        for bad in (*wrong_length, *no_digit):
            yield f"{before}{bad}{after}".encode(), f"the header is damaged (its {name}: {bad})"
        if number:
            yield f"{before[:-1]}_{part}{after}".encode(), f"the header is damaged (what is before its {name})"


def _plain_headers(answer: Submission, received: Received, span: str, new_trace: str) -> list[tuple[str, bytes | None]]:
    """What came back as pairs of a text and bytes. Raises TryAgain if Kafka would not take it."""
    came_back = answer(list(received.headers), span, new_trace, returns=Collection, asks=ASKS)
    facts: dict[str, Any] = {
        "given": answer.called(list(received.headers), span, new_trace),
        "came_back": shown(came_back),
    }
    headers: list[tuple[str, bytes | None]] = []
    for each in came_back:
        if not isinstance(each, tuple | list) or len(each) != 2 or not isinstance(each[0], str):
            look_at = f"the exercise asks for {ASKS}: the name is a str, the value is bytes"
            raise TryAgain(says=f"{shown(each)} is no header.", **facts, look_at=look_at)
        name, value = each
        if not isinstance(value, bytes) and (value is not None or name == "traceparent"):
            raise TryAgain(
                says=f"The value of {name} is {'None' if value is None else kind_of(value)}.", **facts,
                rule="Kafka's headers are bytes: the client refuses anything else",
                look_at="value.encode()" if isinstance(value, str) else "what is the value made of?",
            )  # fmt: skip
        headers.append((name, value))
    return headers


def _judge(answer: Submission, received: Received, span: str, new_trace: str, headers: Headers) -> None:
    facts: dict[str, Any] = {
        "given": answer.called(list(received.headers), span, new_trace),
        "came_back": shown(headers, 600),
    }
    own = [value for name, value in headers if name == "traceparent"]
    if not own:
        raise TryAgain(
            says="The record that is sent on has no header traceparent.", **facts,
            rule=received.why if not received.trace else "its receivers cannot know which trace it belongs to",
            look_at="no record may leave without one; the name is in lower case, and Kafka compares it exactly",
        )  # fmt: skip
    if len(own) > 1:
        raise TryAgain(
            says=f"The record that is sent on has {('two', 'three')[len(own) > 2]} headers traceparent.", **facts,
            rule="Kafka keeps both, and readers differ in which one they take: many take the first, which is not yours",
            look_at="take the one that came with the record out before you add yours",
        )  # fmt: skip
    others = [header for header in headers if header[0] != "traceparent"]
    if others != [header for header in received.headers if header[0] != "traceparent"]:
        raise TryAgain(
            says="The record's other headers are not as they were.", **facts,
            rule="they belong to the event, such as its id; a name may occur twice, and a value need not be text: it "
            "may be empty, or None",
            look_at="keep every pair whose name is not traceparent, in order; a name in other letters is another name",
        )  # fmt: skip
    _judge_context(answer, received, span, new_trace, own[0] or b"")


def _judge_context(answer: Submission, received: Received, span: str, new_trace: str, value: bytes) -> None:
    """Require what OpenTelemetry's own propagator reads from the header, and that nothing else is in it."""
    # Imported here: it belongs to this lesson alone.
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": value.decode(errors="replace")}
    found = trace.get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
    facts: dict[str, Any] = {
        "given": answer.called(list(received.headers), span, new_trace),
        "came_back": f"traceparent: {shown(value)}",
    }
    form = "00, the trace (32 digits), the span (16), the flags (2): hexadecimal, in lower case, joined by -"
    came = any(name == "traceparent" for name, _ in received.headers)
    if not found.is_valid:
        raise TryAgain(
            says="OpenTelemetry cannot read the traceparent of the record that is sent on.", **facts,
            rule=received.why if came and not received.trace else form,
            look_at="what did you do with the parts? An id keeps its zeros",
        )  # fmt: skip
    right = received.trace or new_trace
    if f"{found.trace_id:032x}" != right:
        torn = "the trace of this event is torn: what happens next does not belong to it any more"
        raise TryAgain(
            says=f"The trace is {right}.", **facts,
            rule=torn if received.trace else received.why,
            look_at="is there exactly one traceparent, and is it sound?"
            if came
            else "a new trace has the id that your function is given",
        )  # fmt: skip
    if f"{found.span_id:016x}" != span:
        raise TryAgain(
            says=f"The third part must be your own span, {span}.", **facts,
            rule="the receiver must find the span that sent it, to hang its own below it or link to it",
            look_at="trace and flags stay, the span is yours",
        )  # fmt: skip
    if f"{found.trace_flags:02x}" != received.flags:
        meaning = {
            "00": "the trace was not to be recorded, as its first service decided",
            "01": "the trace is to be recorded",
        }.get(received.flags, "each of their bits has a meaning, so all go on")
        raise TryAgain(
            says=f"The flags are {received.flags}.", **facts,
            rule=f"flags {received.flags}: {meaning}",
            look_at="the fourth part comes from the one that you received; a new trace has 01",
        )  # fmt: skip
    if value != f"00-{right}-{span}-{received.flags}".encode():
        raise TryAgain(
            says="OpenTelemetry reads your traceparent, and stricter readers do not.", **facts,
            rule=f"{form}, and nothing else", look_at="what is before, between and after the four parts?",
        )  # fmt: skip


EXERCISE = Exercise(
    id="14-3",
    title="Hand the trace on",
    difficulty="medium",
    minutes=8,
    call="hand_on(headers, span, new_trace)",
    hints=(
        "Which of the four parts of `traceparent` stay the same on the whole way of an event, and which one changes?",
        "Keep all pairs whose name is not `traceparent`. Of the others there must be exactly one. Test its "
        "form with `re.fullmatch` on bytes, and think of `None`.",
        "If it is sound, take the second and the fourth part; otherwise `new_trace` and `01`. Then "
        '`f"00-{trace}-{span}-{flags}".encode()`.',
    ),
    explanation="A trace holds together because each service hands on the trace's id, and its own span as the parent. "
    "Kafka never replaces a header: the one that came with the record must be taken out first. A damaged one must not "
    "stop the service: the event matters more than its trace.",
    judge=_hand_on,
    seconds=3.0,
)
