"""A topic with two versions in the wire format, JSON from before, and values that are no orders."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryError

from labsupport.course.exercise import CHECKED
from labsupport.course.exercises.groups import fresh_group
from labsupport.course.lab import Lab
from labsupport.course.submission import Failed, Submission, TryAgain, shown
from labsupport.delivery import dead_letter, reading, retry, transient_errors
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.worker import Worker
from labsupport.errors import EventError, TransientError
from labsupport.experiments.watching import log
from labsupport.registry import avro_data, registry, wire_format
from labsupport.registry.registry import Registry
from labsupport.shop.schemas import evolve, record

FIRST = record(order_id="string", user_id="string", items="int")
SECOND = evolve(FIRST, currency={"type": "string", "default": "EUR"})
OTHER = record(order_id="string", user_id="string", items="string")  # which no reader here can read
# The reader's fields stand in another order, so that bytes read by it alone are two texts, and wrong.
READER = {**SECOND, "fields": [SECOND["fields"][number] for number in (1, 0, 2, 3)]}
LARGER = evolve(READER, channel={"type": "string", "default": "shop"})
# Without a field that the others need, and with another default.
SMALLER = evolve(READER, user_id=None, currency={"default": "CHF"})
UNSEEN = record(order_id="string")  # no value is read with it before the registry is away
UNKNOWN = 0x01020304  # each of its bytes counts
FORMAT = "the first byte of the wire format is 0, then come four bytes with the schema's number"

Order = dict[str, Any]
SchemaOf = Callable[[int], dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """A value; `what` it is, and `order`, what it must become: None for an EventError."""

    what: str
    value: bytes | None
    order: Order | None = None
    number: int | None = None  # of its schema


def require_all(answer: Submission, lab: Lab) -> str:
    """Each kind of value, for three readers; the registry busy; all values on the broker; the registry away."""
    _require(answer, _cases([0, 0, 0], READER)[2], _unknown, READER, [])  # JSON needs no registry
    with _registry(lab) as own:
        *numbers, unseen = _register(own)
        asked: list[int] = []
        schema_of = _asking(own, asked)
        for reader in (READER, LARGER, SMALLER):
            for case in _cases(numbers, reader):
                asked.clear()
                _require(answer, case, schema_of, reader, asked)
        late = Case("the first order of its version", wire_format.pack(unseen, b"\x0eORD-123"))
        for error in _busy():
            _require_out(answer, late, _raising(error), f"the registry is busy: {error}")
        cases = _cases(numbers, READER)
        dead = _through_kafka(answer, lab, cases, schema_of)
        own.kill()
        _require_out(answer, late, _asking(own, asked), "the registry was killed")
    letters = f"{dead} of {len(cases)} records are dead letters, each with its reason"
    return f"{letters}; the others are orders, and while the registry is away nothing becomes a dead letter."


@contextlib.contextmanager
def _registry(lab: Lab) -> Iterator[Registry]:
    """For the body of a `with`: a registry of the check's own, whatever the lesson does with its own."""
    own = registry.start(lab.settings, lab.bootstrap, lab.topic(f"{CHECKED}-schemas", cleanup_policy="compact"))
    try:
        yield own
    finally:
        own.close()


def _register(own: Registry) -> list[int]:
    client = own.client()
    client.set_compatibility("check", "NONE")
    return [
        client.register_schema("check", Schema(json.dumps(each), "AVRO")) for each in (FIRST, SECOND, OTHER, UNSEEN)
    ]


def _asking(own: Registry, asked: list[int]) -> SchemaOf:
    """Asks the registry, once; `asked` gets the numbers. Its client remembers nothing of earlier ones."""
    client = own.client(max_retries=0)

    def schema_of(number: int) -> dict[str, Any]:
        asked.append(number)
        return json.loads(client.get_schema(number).schema_str or "")

    return schema_of


def _unknown(number: int) -> dict[str, Any]:
    raise SchemaRegistryError(404, 40403, f"Schema {number} not found")


def _busy() -> list[Exception]:
    """What a registry's client raises while the registry has something else to do."""
    statuses = {500: "the registry timed out", 429: "too many requests"}
    return [*(SchemaRegistryError(each, each, why) for each, why in statuses.items()), TimeoutError("no answer")]


def _raising(error: Exception) -> SchemaOf:
    def schema_of(number: int) -> dict[str, Any]:  # noqa: ARG001 - answers may name it
        raise error

    return schema_of


def _cases(numbers: list[int], reader: dict[str, Any]) -> list[Case]:
    first, second, other = numbers
    one = {"order_id": "ORD-123", "user_id": "USR-456", "items": 2}
    two = {"order_id": "ORD-124", "user_id": "USR-457", "items": 3, "currency": "USD"}
    three = {"order_id": "ORD-125", "user_id": "USR-458", "items": 300}
    four = {"order_id": "ORD-126", "user_id": "Zoë", "items": 1, "currency": "USD", "note": "a gift"}
    nameless = {"order_id": "ORD-127", "items": 1}
    data = avro_data.encode(FIRST, one)

    def json_order(what: str, order: Order) -> Case:
        return Case(what, json.dumps(order, ensure_ascii=False).encode(), _as_read(reader, order))

    return [
        Case("an order of version 1", wire_format.pack(first, data), _as_read(reader, one), first),
        Case(
            "an order of version 2",
            wire_format.pack(second, avro_data.encode(SECOND, two)),
            _as_read(reader, two),
            second,
        ),
        json_order("an order from before the registry, as JSON", three),
        json_order("JSON with a currency, and a note that no schema has", four),
        Case("a number that no schema has", wire_format.pack(UNKNOWN, data), None, UNKNOWN),
        Case("text that is not JSON", b"not an order"),
        json_order("JSON without a user_id", nameless),
        Case("JSON that is a list", b"[1, 2]"),
        Case("JSON that is null", b"null"),
        Case("version 1, cut off", wire_format.pack(first, data[:-9]), None, first),
        Case("version 1, damaged", wire_format.pack(first, data.replace(b"ORD", b"\xff\xfe\xfd")), None, first),
        Case("version 1, with a 7 as its first byte", b"\x07" + wire_format.pack(first, data)[1:]),
        Case("only the five bytes", wire_format.pack(first, b""), None, first),
        Case("a zero, and no number", b"\0\1"),
        Case("bytes that are no text", b"\xff\xfe"),
        Case("an order whose items are a text", wire_format.pack(other, avro_data.encode(OTHER, one | {"items": "2"}))),
        Case("no value at all", None),
        Case("an empty value", b""),
    ]


def _as_read(reader: dict[str, Any], order: Order) -> Order | None:
    """The order with the fields of `reader`; None if it lacks one without a default."""
    complete = {each["name"]: each["default"] for each in reader["fields"] if "default" in each} | order
    names = [each["name"] for each in reader["fields"]]
    return {name: complete[name] for name in names} if complete.keys() >= set(names) else None


def _require(answer: Submission, case: Case, schema_of: SchemaOf, reader: dict[str, Any], asked: list[int]) -> None:
    given = f"{case.what}: {shown(case.value)}"
    error: BaseException | None = None
    came_back: Any = None
    try:
        came_back = answer(case.value, schema_of, reader, returns=dict if case.order else object)
    except Failed as failed:
        if not isinstance(failed.error, EventError):
            if case.order is None and failed.error is not None:
                raise _not_an_event_error(case, failed, given) from None
            raise failed.but(given=given) from None
        error = failed.error
    if case.number is not None and asked and case.number not in asked:
        raise TryAgain(
            says=f"Your function asked the registry for number {asked[0]}; the record has {case.number}.",
            given=given,
            rule=FORMAT,
            look_at="value[1:5], and which of these bytes comes first: the most significant one is 'big'",
        )
    if case.order is not None:
        _require_order(case, given, came_back, error)
    elif error is None:
        raise TryAgain(
            says="This is no order, and no EventError came out.",
            given=given,
            came_back="nothing (None)" if came_back is None else shown(came_back),
            rule="without an error the service commits the record, and nobody learns of it",
            look_at="what does `reader` say that an order must have?",
        )
    elif not str(error).strip() or (case.number == UNKNOWN and str(UNKNOWN) not in str(error)):
        raise TryAgain(
            says="The dead letter of this record says nothing that helps.",
            given=given,
            came_back=f"EventError({shown(str(error))})",
            rule="who repairs it in a week has the reason alone: for an unknown schema, its number",
            look_at='`raise EventError(f"…")`: what do you know there?',
        )


def _require_order(case: Case, given: str, came_back: Any, error: BaseException | None) -> None:
    if error is not None:
        before = "the topic holds orders from before the registry, too" if case.number is None else FORMAT
        raise TryAgain(
            says="This is an order, and your function raised EventError.",
            given=given,
            came_back=f"EventError: {shown(str(error))}",
            rule=before,
            look_at="the first byte: what is it in either format?"
            if case.number is None
            else "which schema do you give as the writer's? A reader cannot decode bytes by its own schema alone",
        )
    assert case.order is not None
    if came_back == case.order:
        return
    names, wanted = came_back.keys(), case.order.keys()
    lacks, has = sorted(wanted - names), sorted(names - wanted)
    rule = "the writer's schema says what the bytes are, the reader's what to make of them"
    if case.number is None:
        rule = "an order keeps what it says of the fields of reader; their defaults are for what it does not say"
    if case.number and came_back.get("user_id") == case.order["order_id"]:
        says = "The bytes were decoded by its own schema alone: two texts, each in the other's place."
    elif lacks or has:
        found = f"lacks {lacks}" if lacks else f"has {has}, too"
        says = f"The order must come back with the fields of reader; it {found}."
    else:
        says = "The order that came back is not the one in the value."
    raise TryAgain(
        says=says,
        given=given,
        came_back=f"{shown(came_back)}\ninstead of {shown(case.order)}",
        rule=rule,
        look_at="avro_data.decode(data, writer, reader)"
        if case.number
        else "`reader` knows the fields and the defaults",
    )


def _not_an_event_error(case: Case, failed: Failed, given: str) -> TryAgain:
    """An error that the service takes for a bug, or for an outage."""
    name = type(failed.error).__name__
    if case.number == UNKNOWN:
        return TryAgain(
            says=f"For an unknown number {name} came out.",
            given=given,
            came_back=f"{name}: {failed.error}",
            rule="it is no EventError, so the record would be tried again and again, and it never becomes better",
            look_at="its http_status_code is 404: turn that into an EventError",
        )
    return TryAgain(
        says=f"This is no order, and {name} came out instead of EventError.",
        given=given,
        came_back=f"{name}: {failed.error}",
        rule="the service takes an EventError for the record's fault, and anything else for its own",
        look_at="which line raises it?",
    )


def _require_out(answer: Submission, case: Case, schema_of: SchemaOf, why: str) -> None:
    """While the registry cannot answer, its error must come out, or one that passes."""
    raised: list[Exception] = []

    def failing(number: int) -> dict[str, Any]:
        try:
            return schema_of(number)
        except Exception as error:
            raised.append(error)
            raise

    given = f"{case.what}; {why}"
    try:
        came_back = shown(answer(case.value, failing, READER, returns=object))
    except Failed as failed:
        error = failed.error
        if error is None:
            raise
        if isinstance(error, (TransientError, *map(type, raised))) or transient_errors.passes(error):
            return
        came_back = f"{type(error).__name__}: {shown(str(error))}"
        if not isinstance(error, EventError):
            raise TryAgain(
                says="The registry could not answer, and another error than its own came out.",
                given=given,
                came_back=came_back,
                rule="the service knows from the error whether waiting helps",
                look_at="not every error has an http_status_code, and `raise` alone raises the same error again",
            ) from None
    raise TryAgain(
        says="The registry could not answer, and the record was blamed for it.",
        given=given,
        came_back=came_back,
        rule="only 404 says that nobody knows the number; in an outage every record would become a dead letter",
        look_at="which errors does the `except` around schema_of take?",
    )


def _through_kafka(answer: Submission, lab: Lab, cases: list[Case], schema_of: SchemaOf) -> int:
    """A service reads all values from a topic; returns the number of its dead letters."""
    topic = lab.topic(CHECKED)
    dead = lab.dead_letters(topic)
    producer = lab.producer(name="check", **dead_letter.producer_settings())
    for number, case in enumerate(cases):
        producer.send(topic, case.value, b"%d" % number).get(timeout=60)
    orders: list[Order] = []

    def handle(taken: Any) -> None:
        try:
            orders.append(answer(taken.value, schema_of, READER, returns=dict))
        except Failed as failed:
            raise failed.error or failed from None

    group = fresh_group(lab, "orders")
    consumer = lab.consumer(topic, name="orders", group_id=group, **reading.READS)
    try:
        handler = ErrorHandler(producer, retry.Policy(attempts=1))
        Worker(consumer, handle, error_handler=handler).run(until=reading.at_the_end(consumer))
        letters = [dead_letter.unwrap(each) for each in log.read(lab, dead).records]
    finally:
        lab.close_client("orders")
        lab.delete_topics([dead])
    lost = len(cases) - len(orders) - len(letters)
    if lost or orders != [case.order for case in cases if case.order is not None]:
        raise TryAgain(
            says="In a service on a real topic your function did not do what it did before.",
            given=f"{len(cases)} records, as before, in one topic",
            came_back=f"{len(orders)} orders, {len(letters)} dead letters, {lost} lost",
            rule="the same value gives the same order",
            look_at="does it remember something between calls?",
        )
    return len(letters)
