"""Values with a schema: the five bytes in front, Avro's encoding, an order's schemas, and the sizes of formats."""

import socket
import subprocess
import sys

import httpx2
import pytest
from fastavro.read import SchemaResolutionError

from labsupport.delivery import retry
from labsupport.errors import EventError, SchemaError
from labsupport.registry import avro_data, event_formats, wire_format
from labsupport.shop import schemas, story


@pytest.mark.parametrize("number", [0, 1, 256, 2**31 - 1])
def test_a_value_tells_the_schema_that_wrote_it(number):
    """Whatever the number and the data, empty data too."""
    for data in (b"", b"\0\0", b"ORD-123"):
        assert wire_format.unpack(wire_format.pack(number, data)) == (number, data)


@pytest.mark.parametrize("value", [None, b"", b"\0", b"\0\0\0\0", b'{"order_id": 1}', b"\1\0\0\0\1"])
def test_a_value_without_a_number_is_refused_with_its_bytes(value):
    """JSON from before the registry, a header's form of the number, and what was cut off."""
    with pytest.raises(EventError, match="no schema id") as refused:
        wire_format.unpack(value)
    assert refused.value.value == value


def test_bytes_say_nothing_without_their_writers_schema():
    """Two texts read in the wrong order are two texts; with both schemas they are what was written."""
    one, other = (schemas.record(**dict.fromkeys(names, "string")) for names in (("a", "b"), ("b", "a")))
    data = avro_data.encode(one, {"a": "1", "b": "2"})
    assert avro_data.decode(data, other) == {"b": "1", "a": "2"}
    assert avro_data.decode(data, one, other) == {"a": "1", "b": "2"}


CHANGES = {
    "default": ({"currency": {"type": "string", "default": "EUR"}}, True, True),
    "no default": ({"currency": {"type": "string"}}, False, True),
    "nullable": ({"coupon": {"type": ["null", "string"]}}, False, True),
    "removed": ({"amount": None}, True, False),
    "renamed": ({"user_id": {"name": "customer_id"}}, False, False),
    "alias": ({"user_id": schemas.ALIASED}, True, False),
    "wider": ({"items": {"type": "long"}}, True, False),
    "symbol": ({"status": {"type": schemas.SENT}}, True, False),
    "meaning": ({"amount": {"doc": "in euros"}}, True, True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_rule_allows_can_be_decoded_and_what_it_refuses_cannot(change):
    """In both directions, with an order that uses what is new."""
    changed, backward, forward = CHANGES[change]
    old, new = schemas.ORDER, schemas.evolve(schemas.ORDER, **changed)
    for reader, writer, expected in ((new, old, backward), (old, new, forward)):
        assert avro_data.can_read(reader, writer) == expected
        data = avro_data.encode(writer, schemas.example(writer))
        if expected:
            assert set(avro_data.decode(data, writer, reader)) == {each["name"] for each in reader["fields"]}
        else:
            with pytest.raises(SchemaResolutionError):
                avro_data.decode(data, writer, reader)


def test_a_schema_that_is_none_is_refused():
    """Before anything is compared."""
    with pytest.raises(SchemaError):
        avro_data.can_read(schemas.ORDER, {"type": "order"})


def test_a_change_leaves_the_schema_alone():
    """The lesson's schemas are shared."""
    before = repr(schemas.ORDER)
    schemas.evolve(schemas.ORDER, amount=None, items={"type": "long"}, coupon={"type": "string"})
    assert repr(schemas.ORDER) == before


def test_an_event_comes_back_whole_from_each_format():
    """Amount and time too; and both formats are less than half as long as JSON."""
    event = story.events(1, seed=3)[0]
    fields = event_formats.fields(event)
    for encode, decode in event_formats.FORMATS.values():
        assert decode(encode(fields)) == fields
    sizes = event_formats.sizes(event)
    assert max(sizes["Avro"], sizes["Protobuf"]) < sizes["JSON"] / 2 == len(event.encode()) / 2
    assert list(event_formats.times(event, count=1, rounds=1).index) == ["JSON", "Avro", "Protobuf"]


def test_a_float_is_no_amount():
    """Lesson 01: a binary float cannot hold cents exactly."""
    fields = event_formats.fields(story.events(1, seed=3)[0])
    with pytest.raises(TypeError):
        avro_data.encode(event_formats.AVRO, fields | {"amount": 1499.99})


def test_a_registry_that_is_away_is_an_outage():
    """Its client's error is transient, so that a worker pauses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(httpx2.ConnectError) as away:
            httpx2.get(address, trust_env=False)
    assert retry.classify(away.value) == retry.TRANSIENT


def test_other_lessons_import_nothing_of_lessons_13_and_14():
    """Nor do the judges of all exercises, which every check imports."""
    code = (
        "import sys\nfrom labsupport.course import exercises, lab\nexercises.by_id()\nfrom labsupport import Worker\n"
        "heavy = {'avro', 'fastavro', 'google', 'httpx2', 'opentelemetry', 'prometheus_client'}\n"
        "print(*{name.partition('.')[0] for name in sys.modules} & heavy)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.stdout.strip(), run.returncode) == ("", 0), run.stderr
