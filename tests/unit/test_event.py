"""The envelope: what is encoded is decoded unchanged, and anything that is not an event is refused with its bytes."""

import copy
import dataclasses
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsupport.errors import EventError, UnknownEventError
from labsupport.shop.event import MAX_BYTES, Event, ReadOnly

ID = str(UUID(int=7))
NOON = datetime(2026, 4, 16, 12, 0, tzinfo=UTC)
ORDER = {"order_id": "ORD-123", "user_id": "USR-456", "amount": Decimal("1499.99")}
GOOD = Event("OrderCreated", 1, ID, NOON, ORDER).encode()

FIRST, LAST = datetime(1, 1, 3), datetime(9999, 12, 29)  # noqa: DTZ001 - hypothesis adds the zone
amounts = st.decimals(min_value=-(10**15), max_value=10**15, places=2)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)


def order(**changed) -> Event:
    """The event ORDER with other fields."""
    return Event(**{"event_type": "OrderCreated", "event_version": 1, "event_id": ID, "timestamp": NOON,
                    "payload": ORDER} | changed)  # fmt: skip


@given(
    amount=amounts,
    moment=st.datetimes(FIRST, LAST, timezones=st.timezones()),
    name=st.text(st.characters(codec="utf-8")),
    extra=st.dictionaries(st.text(st.characters(codec="utf-8")).map("x-{}".format), json_values, max_size=3),
)
def test_an_event_comes_back_as_it_was(amount, moment, name, extra):
    """Decimals, any time zone, any text, and fields that nobody knows."""
    event = order(timestamp=moment, payload=ORDER | {"amount": amount, "order_id": name}, extra=extra)
    back = Event.decode(event.encode())
    assert back == event
    assert str(back.payload["amount"]) == str(amount)
    assert back.timestamp.tzinfo is UTC
    assert back.encode() == event.encode()


def test_the_wire_is_the_envelope_as_json():
    """Field by field, with the amount as a number and the time in UTC."""
    assert json.loads(GOOD) == {
        "event_type": "OrderCreated",
        "event_version": 1,
        "event_id": ID,
        "timestamp": "2026-04-16T12:00:00Z",
        "payload": {"order_id": "ORD-123", "user_id": "USR-456", "amount": 1499.99},
    }
    assert b'"amount": 1499.99' in GOOD


def test_the_headers_repeat_type_and_id():
    """As kafka-python wants them: pairs of text and bytes."""
    assert order().headers() == [("event_type", b"OrderCreated"), ("event_id", ID.encode())]


def test_nothing_in_an_event_changes():
    """Not a field, not the payload, not what is inside it; and what it was made of may change without it."""
    given = {"tags": ["a", {"b": 1}], **ORDER}
    event = order(payload=given)
    given["tags"].append("later")
    assert event.payload["tags"] == ("a", {"b": 1})
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.event_type = "OrderCancelled"
    for change in (
        lambda: event.payload.update(amount=1),
        lambda: event.payload.pop("amount"),
        lambda: event.payload.setdefault("new", 1),
        lambda: event.payload.__delitem__("amount"),
        lambda: event.payload["tags"][1].clear(),
        lambda: event.extra.__setitem__("a", 1),
        lambda: event.payload.__ior__({"a": 1}),
    ):
        with pytest.raises(TypeError, match="does not change"):
            change()
    assert event.payload | {"amount": 1} != event.payload  # a changed copy is an ordinary dict


def test_an_event_can_be_copied_pickled_compared_and_counted():
    """The ways in which programs handle values."""
    event = order()
    assert copy.deepcopy(event) == pickle.loads(pickle.dumps(event)) == event
    assert len({event, Event.decode(event.encode())}) == 1
    assert dataclasses.asdict(event)["payload"] == ORDER
    assert dataclasses.replace(event, event_id=str(UUID(int=8))) != event
    assert copy.copy(event.payload) == ORDER
    assert isinstance(copy.deepcopy(event.payload), ReadOnly)


def test_a_whole_number_of_money_is_a_decimal():
    """JSON writes 20.00 as 20 if it likes."""
    back = Event.decode(GOOD.replace(b"1499.99", b"20"))
    assert back.payload["amount"] == 20
    assert isinstance(back.payload["amount"], Decimal)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b'"event_id"', b'"id"', "missing: event_id"),
        (b'"timestamp"', b'"time"', "missing: timestamp"),
        (b'"order_id": "ORD-123", ', b"", "payload.order_id: missing"),
        (b'"ORD-123"', b"123", "payload.order_id: 123 is int; str is needed"),
        (b"1499.99", b'"1499.99"', "payload.amount: '1499.99' is str; Decimal is needed"),
        (b"1499.99", b"true", "payload.amount: True is bool; Decimal is needed"),
        (b"1499.99", b"null", "payload.amount: None is NoneType; Decimal is needed"),
        (b"1499.99", b"NaN", "NaN is not a JSON number"),
        (b"1499.99", b"1e400", "payload.amount: 1E+400 is not an amount of money"),
        (b"1499.99", b"1e-400", "payload.amount: 1E-400 is not an amount of money"),
        (b"1499.99", b"51e9999999999", "is not an amount of money"),
        (b"1499.99", b"1" * 400, "is not an amount of money"),
        (b"1499.99", b"-Infinity", "-Infinity is not a JSON number"),
        (b'"event_version": 1', b'"event_version": "1"', "event_version: '1' is str; int is needed"),
        (b'"event_version": 1', b'"event_version": true', "event_version: True is bool; int is needed"),
        (b'"event_version": 1', b'"event_version": 1.0', "event_version: Decimal('1.0') is Decimal; int is needed"),
        (ID.encode(), b"42", "event_id: '42' is not a UUID"),
        (ID.encode(), f"{{{ID}}}".encode(), "is not a UUID in its usual form"),
        (b"12:00:00Z", b"12:00:00", "names no time zone"),
        (b"2026-04-16T12", b"16.4.2026T12", "is not a time such as 2026-04-16T10:30:00Z"),
        (b'"2026-04-16T12:00:00Z"', b"1776340800", "timestamp: 1776340800 is not a time"),
        (b"2026-04-16T12:00:00Z", b"0001-01-01T00:00:00+14:00", "outside the years 1 to 9999"),
        (b'"payload": {', b'"payload": {"amount": 1, ', "given twice: amount"),
        (b'"event_type"', b'"event_type": "X", "event_type"', "given twice: event_type"),
        (b"ORD-123", b"ORD-\xff", "not UTF-8: byte"),
        (b"ORD-123", b"\\ud800", "not text: surrogates not allowed (\\ud800)"),
        (b"}", b"", "not JSON: "),
        (b'"user_id"', b'"deep": ' + b"[" * 100_000 + b"]" * 100_000 + b', "user_id"', "nested too deeply"),
        (b"1499.99", b"1" * 5000, "not JSON: "),
        (b"1499.99", b"1e-" + b"9" * 30, "not JSON: "),
        (b'"user_id"', b'"deep": ' + b"[" * 60 + b"]" * 60 + b', "user_id"', "payload: nested too deeply"),
    ],
)
def test_bytes_that_are_no_event_say_why_and_are_kept(old, new, problem):
    """One precise sentence each."""
    value = GOOD.replace(old, new)
    assert value != GOOD
    with pytest.raises(EventError) as caught:
        Event.decode(value)
    assert problem in str(caught.value)
    assert caught.value.value == value
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "no value"),
        ("text", "not bytes but str"),
        (b"", "not JSON: "),
        (b"[]", "not a JSON object but list"),
        (b"null", "not a JSON object but NoneType"),
        (b"\x00\x00\x00\x00\x07Avro", "not JSON: "),
        (b"\xef\xbb\xbf{}", "not JSON: "),
        (b"{}", "missing: event_type, event_version, event_id, timestamp, payload"),
        (GOOD.replace(b'{"order_id"', b'[{"order_id"').replace(b"}}", b"}]}"), "payload: [{"),
    ],
)
def test_what_is_not_even_an_object_is_refused(value, problem):
    """Tombstones, text, other formats."""
    with pytest.raises(EventError) as caught:
        Event.decode(value)
    assert problem in str(caught.value)
    assert caught.value.value is value


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"OrderCreated", b"OrderEaten", "unknown event OrderEaten version 1; known: BidSubmitted, OrderCreated"),
        (b'"event_version": 1', b'"event_version": 2', "unknown event OrderCreated version 2; known versions: [1]"),
    ],
)
def test_an_unknown_type_or_version_is_an_error_of_its_own(old, new, problem):
    """A reader may skip an unknown type; broken bytes are always an error."""
    with pytest.raises(UnknownEventError) as caught:
        Event.decode(GOOD.replace(old, new))
    assert problem in str(caught.value)


def test_a_great_many_duplicates_are_counted_once():
    """In time that grows with their number, not with its square: 60,000 names took 10 s."""
    with pytest.raises(EventError, match="given twice: k0, k1, k2, k3, k4"):
        Event.decode(b"{" + b",".join(b'"k%d":1' % (n // 2) for n in range(200_000)) + b"}")


def test_unknown_fields_are_kept_and_sent_on():
    """In the envelope and in the payload: an old reader does not lose what a new writer says."""
    value = GOOD.replace(b'"payload": {', b'"trace": {"id": [1.10]}, "payload": {"coupon": "SPRING", ')
    event = Event.decode(value)
    assert event.extra == {"trace": {"id": (Decimal("1.10"),)}}
    assert event.payload["coupon"] == "SPRING"
    assert b'"trace": {"id": [1.10]}' in event.encode()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"payload": ORDER | {"amount": 1499.99}}, "which cannot hold cents exactly; Decimal is needed"),
        ({"payload": ORDER | {"amount": Decimal("NaN")}}, "NaN is not an amount of money"),
        ({"timestamp": datetime(2026, 4, 16)}, "names no time zone"),  # noqa: DTZ001
        ({"timestamp": "2026-04-16T10:30:00Z"}, "is str; datetime is needed"),
        ({"payload": None}, "payload: None is NoneType; dict is needed"),
        ({"payload": {}}, "payload.order_id: missing"),
        ({"event_id": "ORD-123"}, "is not a UUID"),
        ({"extra": {"payload": 1}}, "extra: payload belongs to the envelope itself"),
        ({"extra": {1: 2}}, "extra: the name 1 is int; str is needed"),
        ({"payload": ORDER | {"note": {"a": [{1, 2}]}}}, "payload.note.a: {1, 2} is set and cannot be written as JSON"),
        ({"payload": ORDER | {"note": bytearray(b"x")}}, "payload.note: bytearray(b'x') is bytearray"),
        ({"payload": ORDER | {"note": float("nan")}}, "payload.note: NaN cannot be written as JSON"),
    ],
)
def test_a_program_cannot_make_what_a_reader_would_refuse(changed, problem):
    """The same rules for the one who writes."""
    with pytest.raises(EventError) as caught:
        order(**changed)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"payload": ORDER | {"note": "x" * MAX_BYTES}}, "too large: 1,000,"),
        ({"payload": ORDER | {"note": 10**5000}}, "cannot be written as JSON"),
        ({"payload": ORDER | {"note": "\ud800"}}, "cannot be written as JSON"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_it_is_sent(changed, problem):
    """A huge payload, and what JSON has no word for."""
    with pytest.raises(EventError, match=problem):
        order(**changed).encode()


def test_another_time_zone_is_the_same_moment():
    """What is stored is UTC."""
    berlin = timezone(timedelta(hours=2))
    assert order(timestamp=datetime(2026, 4, 16, 14, 0, tzinfo=berlin)) == order()


@given(
    bounds=st.lists(st.integers(0, len(GOOD)), min_size=2, max_size=2),
    put=st.binary(max_size=4)
    | st.sampled_from([b"{", b"}", b"[[", b'"', b",", b":", b"null", b"1e9999999", b"\\udc00"]),
)
def test_damaged_bytes_are_an_event_or_an_event_error(bounds, put):
    """Nothing else comes out, and what decodes can be sent on and comes back the same."""
    begin, end = sorted(bounds)
    damaged = GOOD[:begin] + put + GOOD[min(end, begin + 8) :]
    event, kept = None, None
    try:
        event = Event.decode(damaged)
    except EventError as error:
        kept = error.value
    assert kept == damaged or Event.decode(event.encode()) == event
