"""One script of Confluent's own client against two registries: the lab's, and Apicurio's where it was fetched.

What the script expects is what Confluent documents, or its registry's source says. Where Apicurio 3.3.3 answers
otherwise, only the lab's registry is asked (`confluents`):

- a subject without a level of its own: 40408; Apicurio answers with the global level
- a check against all versions compares with those that the level names; Apicurio's with all, whatever the level
- deleting a subject answers with its living versions; Apicurio's with all
- Protobuf: the wire format decides; Apicurio refuses more (a field that goes), and lets another package pass. It stores
  what Confluent's Python client registers (base64), and cannot hand it out in the form that this client reads
"""

import base64
import json
import os
import uuid
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from labsupport.broker.cluster import connect
from labsupport.errors import LabError
from labsupport.registry import apicurio, registry
from labsupport.registry.compatibility import LEVELS

# Whether the new schema reads data of the old one, and the old one data of the new one.
BOTH, BACKWARD, FORWARD, NEITHER = (True, True), (True, False), (False, True), (False, False)


@pytest.fixture(scope="module", params=["lab", "apicurio"])
def there(request, settings) -> Iterator[registry.Registry]:
    """A registry that answers, and has nothing in it."""
    if request.param == "lab":
        with connect(settings) as kafka:
            kafka.admin()
            own = registry.start(settings, kafka.bootstrap, f"schemas-{uuid.uuid4().hex[:8]}")
            yield own
            own.close()
    elif not apicurio.fetched(settings) and not os.environ.get("CI"):
        pytest.skip("Apicurio Registry is not in the cache: python3 lab.py registry --apicurio fetches it (159 MB)")
    else:
        try:
            apicurio.archive(settings)
        except LabError as error:
            pytest.skip(f"Apicurio Registry cannot be fetched here: {error.seen}")
        with apicurio.running(settings) as (other, _):
            yield other


@pytest.fixture(scope="module")
def confluents(there) -> bool:
    """Whether the registry answers as Confluent's in everything."""
    return isinstance(there, registry.OwnRegistry)


@pytest.fixture
def client(there) -> SchemaRegistryClient:
    """Confluent's client, without what it remembers of another test."""
    return there.client()


@pytest.fixture
def subject() -> str:
    """A subject's name that no other test uses."""
    return f"{uuid.uuid4().hex[:12]}-value"


def record(*fields: dict, name: str = "Order", **more: object) -> str:
    """A record's schema as text."""
    return json.dumps({"type": "record", "name": name, "fields": list(fields), **more})


def field(name: str, type_: object, **more: object) -> dict:
    """A field of it."""
    return {"name": name, "type": type_, **more}


def refusal(call, *given) -> SchemaRegistryError:
    """What the registry refuses the call with."""
    with pytest.raises(SchemaRegistryError) as caught:
        call(*given)
    return caught.value


ID = field("order_id", "string")
AMOUNT = field("amount", "long")
V1 = record(ID, AMOUNT)
V2 = record(ID, AMOUNT, field("currency", "string", default="EUR"))


def test_a_schema_has_one_id_everywhere(client, there, subject):
    """Registered again, in another subject, or by a client that remembers nothing: the same id."""
    number = client.register_schema(subject, Schema(V1))
    assert there.client().register_schema(subject, Schema(V1)) == number
    assert there.client().register_schema(f"other-{subject}", Schema(V1)) == number
    second = client.register_schema(subject, Schema(V2))
    assert second != number
    assert client.get_versions(subject) == [1, 2]
    assert json.loads(there.client().get_schema(number).schema_str) == json.loads(V1)
    assert set(client.get_subjects_by_schema_id(number)) == {subject, f"other-{subject}"}
    assert {(each.subject, each.version) for each in client.get_schema_versions(number)} == {
        (subject, 1),
        (f"other-{subject}", 1),
    }


def test_versions_are_found(client, subject):
    """The latest one, one by its number, one by its schema."""
    ids = [client.register_schema(subject, Schema(text)) for text in (V1, V2)]
    latest = client.get_latest_version(subject)
    assert (latest.version, latest.schema_id, latest.subject) == (2, ids[1], subject)
    assert json.loads(latest.schema.schema_str) == json.loads(V2)
    assert client.get_version(subject, 1).schema_id == ids[0]
    found = client.lookup_schema(subject, Schema(V1))
    assert (found.version, found.schema_id) == (1, ids[0])
    assert subject in client.get_subjects()
    assert {"AVRO", "JSON", "PROTOBUF"} <= set(client.get_schema_types())


def test_what_is_not_there_has_confluents_codes(client, subject):
    """Subject, version, schema and id."""
    assert refusal(client.get_latest_version, subject).error_code == 40401
    assert refusal(client.lookup_schema, subject, Schema(V1)).error_code == 40401
    client.register_schema(subject, Schema(V1))
    assert refusal(client.get_version, subject, 7).error_code == 40402
    assert refusal(client.lookup_schema, subject, Schema(V2)).error_code == 40403
    assert refusal(client.get_schema, 987_654).error_code == 40403
    assert refusal(client.delete_subject, f"no-{subject}").error_code == 40401
    assert refusal(client.delete_version, subject, 7).error_code == 40402


def test_a_breaking_schema_is_refused_with_the_reason(client, subject):
    """409, the name of the field, and nothing registered."""
    client.register_schema(subject, Schema(V1))
    breaking = Schema(record(ID, AMOUNT, field("currency", "string")))
    assert client.test_compatibility(subject, breaking) is False
    refused = refusal(client.register_schema, subject, breaking)
    assert refused.http_status_code == 409
    assert "currency" in str(refused)
    assert client.get_versions(subject) == [1]


def test_levels_are_set_for_a_subject_and_globally(client, confluents, subject):
    """A subject's own level comes first; deleted, the global one holds again."""
    client.register_schema(subject, Schema(V1))
    removed = Schema(record(ID))
    assert client.get_compatibility() == "BACKWARD"
    if confluents:
        assert refusal(client.get_compatibility, subject).error_code == 40408
    assert client.test_compatibility(subject, removed) is True
    client.set_compatibility(subject, "FORWARD")
    assert client.get_compatibility(subject) == "FORWARD"
    assert client.test_compatibility(subject, removed) is False
    client.delete_config(subject)
    assert client.test_compatibility(subject, removed) is True
    client.set_compatibility(level="FULL")
    try:
        assert client.test_compatibility(subject, removed) is False
    finally:
        client.set_compatibility(level="BACKWARD")
    assert refusal(client.set_compatibility, subject, "SIDEWAYS").error_code == 42203


def test_deletion_is_soft_first(client, there, confluents, subject):
    """Deleted, a schema is still read by its id; registered again it has its id and a new version; then for good."""
    first = client.register_schema(subject, Schema(V1))
    client.register_schema(subject, Schema(V2))
    assert client.delete_version(subject, 1) == 1
    assert client.get_versions(subject) == [2]
    assert client.delete_subject(subject) == ([2] if confluents else [1, 2])
    assert subject not in client.get_subjects()
    assert refusal(client.get_latest_version, subject).error_code == 40401
    assert json.loads(there.client().get_schema(first).schema_str) == json.loads(V1)
    assert subject in client.get_subjects(deleted=True)
    assert there.client().register_schema(subject, Schema(V1)) == first
    assert there.client().get_latest_version(subject).version == 3
    client.delete_subject(subject)
    assert client.delete_subject(subject, permanent=True) in ([1, 2, 3], [3])
    assert subject not in client.get_subjects(deleted=True)


def test_deleting_for_good_comes_second(client, subject):
    """Not what was not deleted before."""
    client.register_schema(subject, Schema(V1))
    assert refusal(client.delete_subject, subject, True).error_code == 40405
    assert refusal(client.delete_version, subject, 1, True).error_code == 40407
    assert client.get_versions(subject) == [1]


class Case(NamedTuple):
    """One change of an Avro schema, and who reads what."""

    change: str
    old: object
    new: object
    reads: tuple[bool, bool]


def typed(change: str, old: object, new: object, reads: tuple[bool, bool]) -> Case:
    """A change of one field's type."""
    return Case(change, record(ID, field("f", old)), record(ID, field("f", new)), reads)


def enum(*symbols: str, **more: object) -> dict:
    return {"type": "enum", "name": "Status", "symbols": list(symbols), **more}


def fixed(size: int, name: str = "Hash") -> dict:
    return {"type": "fixed", "name": name, "size": size}


def inner(*fields: dict, name: str = "Inner", **more: object) -> dict:
    return json.loads(record(*fields, name=name, **more))


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
NODE = [ID, field("next", ["null", "Order"], default=None)]

AVRO = [
    Case("nothing", V1, V1, BOTH),
    Case("add a field with a default", V1, V2, BOTH),
    Case("add a field without a default", V1, record(ID, AMOUNT, field("n", "int")), FORWARD),
    Case("add a nullable field", V1, record(ID, AMOUNT, field("n", ["null", "int"])), FORWARD),
    Case("add a field, null by default", V1, record(ID, AMOUNT, field("n", ["null", "int"], default=None)), BOTH),
    Case("remove a field", V1, record(ID), BACKWARD),
    Case("remove a field with a default", V2, V1, BOTH),
    Case("rename a field", V1, record(ID, field("cents", "long")), NEITHER),
    Case("rename a field, with an alias", V1, record(ID, field("cents", "long", aliases=["amount"])), BACKWARD),
    Case("rename a field that has a default", V2, record(ID, AMOUNT, field("c", "string", default="EUR")), BOTH),
    Case("another order of fields", V1, record(AMOUNT, ID), BOTH),
    Case("another default", V2, record(ID, AMOUNT, field("currency", "string", default="USD")), BOTH),
    Case("a default goes", V2, record(ID, AMOUNT, field("currency", "string")), BOTH),
    Case("a doc comes", V1, record(ID, AMOUNT, doc="what was bought"), BOTH),
    Case("rename the record", V1, record(ID, AMOUNT, name="Purchase"), NEITHER),
    Case("rename the record, with an alias", V1, record(ID, AMOUNT, name="Purchase", aliases=["Order"]), BACKWARD),
    Case("another namespace", V1, record(ID, AMOUNT, namespace="shop"), BOTH),
    Case(
        "rename in a namespace, with an alias",
        record(ID, namespace="shop"),
        record(ID, namespace="shop", name="Purchase", aliases=["Order"]),
        BACKWARD,
    ),
    Case("no fields left", V1, record(), BACKWARD),
    Case("no record", V1, '"string"', NEITHER),
    Case("a record that holds itself", record(*NODE), record(*NODE, field("n", "int", default=0)), BOTH),
    Case("a record that holds itself loses its end", record(*NODE), record(ID, field("next", "Order")), FORWARD),
    typed("int to long", "int", "long", BACKWARD),
    typed("int to float", "int", "float", BACKWARD),
    typed("int to double", "int", "double", BACKWARD),
    typed("long to int", "long", "int", FORWARD),
    typed("long to float", "long", "float", BACKWARD),
    typed("float to double", "float", "double", BACKWARD),
    typed("double to long", "double", "long", FORWARD),
    typed("string to bytes", "string", "bytes", BOTH),
    typed("string to int", "string", "int", NEITHER),
    typed("boolean to int", "boolean", "int", NEITHER),
    typed("null to string", "null", "string", NEITHER),
    typed("decimal to double", DECIMAL, "double", NEITHER),
    typed("decimal to bytes", DECIMAL, "bytes", BOTH),
    typed("date to int", {"type": "int", "logicalType": "date"}, "int", BOTH),
    typed("milliseconds to microseconds", {"type": "long", "logicalType": "timestamp-millis"},
          {"type": "long", "logicalType": "timestamp-micros"}, BOTH),
    typed("to nullable", "string", ["null", "string"], BACKWARD),
    typed("from nullable", ["null", "string"], "string", FORWARD),
    typed("another order in a union", ["null", "string"], ["string", "null"], BOTH),
    typed("a union grows", ["null", "string"], ["null", "string", "int"], BACKWARD),
    typed("a union's type is promoted", ["null", "int"], ["null", "long"], BACKWARD),
    typed("other types in a union", ["null", "int"], ["null", "string"], NEITHER),
    typed("a union of records grows", [inner(name="A"), "null"], [inner(name="A"), inner(name="B"), "null"], BACKWARD),
    typed("items are promoted", {"type": "array", "items": "int"}, {"type": "array", "items": "long"}, BACKWARD),
    typed("other items", {"type": "array", "items": "int"}, {"type": "array", "items": "string"}, NEITHER),
    typed("array to map", {"type": "array", "items": "int"}, {"type": "map", "values": "int"}, NEITHER),
    typed("values are promoted", {"type": "map", "values": "float"}, {"type": "map", "values": "double"}, BACKWARD),
    typed("a symbol comes", enum("NEW", "PAID"), enum("NEW", "PAID", "SHIPPED"), BACKWARD),
    typed("a symbol goes", enum("NEW", "PAID"), enum("NEW"), FORWARD),
    typed("a symbol comes, the old enum has a default", enum("NEW", default="NEW"), enum("NEW", "PAID"), BOTH),
    typed("a symbol comes, the new enum has a default", enum("NEW"), enum("NEW", "PAID", default="NEW"), BACKWARD),
    typed("another order of symbols", enum("NEW", "PAID"), enum("PAID", "NEW"), BOTH),
    typed("enum to string", enum("NEW"), "string", NEITHER),
    typed("another size", fixed(16), fixed(32), NEITHER),
    typed("another name of a fixed", fixed(16), fixed(16, "Digest"), NEITHER),
    typed("fixed to bytes", fixed(16), "bytes", NEITHER),
    typed("inside: a field with a default", inner(ID), inner(ID, field("n", "int", default=0)), BOTH),
    typed("inside: a field without a default", inner(ID), inner(ID, field("n", "int")), FORWARD),
    typed("inside: another name", inner(ID), inner(ID, name="Other"), NEITHER),
    typed("inside an array: a field goes", {"type": "array", "items": inner(ID, AMOUNT)},
          {"type": "array", "items": inner(ID)}, BACKWARD),
    Case("a primitive type by itself", '"int"', '"long"', BACKWARD),
    Case("a union by itself", '["null", "string"]', '["null", "string", "int"]', BACKWARD),
]  # fmt: skip


def allowed(level: str, backward: bool, forward: bool) -> bool:
    """Whether the level lets a change pass."""
    return (backward or level.split("_")[0] not in ("BACKWARD", "FULL")) and (
        forward or level.split("_")[0] not in ("FORWARD", "FULL")
    )


@pytest.fixture(scope="module")
def shared(there) -> SchemaRegistryClient:
    """One client for many subjects: to make one takes a hundred times as long as to ask."""
    return there.client()


@pytest.mark.parametrize("case", AVRO, ids=lambda case: case.change)
def test_an_avro_change_under_each_level(case, shared, subject):
    """The check says it, and registering does it."""
    evolve(shared, subject, Schema(case.old), Schema(case.new), case.reads)


def evolve(client: SchemaRegistryClient, subject: str, old: Schema, new: Schema, reads: tuple[bool, bool]):
    """Register one schema after the other, under each level in a subject of its own."""
    for level in LEVELS:
        name = f"{subject}-{level}"
        client.set_compatibility(name, level)
        client.register_schema(name, old)
        passes = allowed(level, *reads)
        assert client.test_compatibility(name, new) is passes, level
        if passes:
            assert client.register_schema(name, new), level
        else:
            assert refusal(client.register_schema, name, new).http_status_code == 409, level


V3 = record(ID, AMOUNT, field("currency", "string"))


@pytest.mark.parametrize(
    ("earlier", "new", "stops"),
    [
        ([V1, V2], V3, ("BACKWARD_TRANSITIVE", "FULL_TRANSITIVE")),
        ([V3, V2], V1, ("FORWARD_TRANSITIVE", "FULL_TRANSITIVE")),
        ([V1, V2], V1.replace("long", "int"), ("BACKWARD", "BACKWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE")),
    ],
    ids=["a default that goes", "a field that goes", "what the last one stops too"],
)
def test_a_transitive_level_asks_all_versions(earlier, new, stops, shared, confluents, subject):
    """The others ask the last one only."""
    for level in LEVELS:
        name = f"{subject}-{level}"
        shared.set_compatibility(name, "NONE")
        for text in earlier:
            shared.register_schema(name, Schema(text))
        shared.set_compatibility(name, level)
        if confluents:
            assert shared.test_compatibility_all_versions(name, Schema(new)) is (level not in stops), level
        if level in stops:
            assert refusal(shared.register_schema, name, Schema(new)).http_status_code == 409, level
        else:
            assert shared.register_schema(name, Schema(new)), level


NO_SCHEMA = {
    "no JSON": "Order",
    "no type": "{}",
    "an unknown type": record(field("f", "money")),
    "a record without a name": '{"type": "record", "fields": []}',
    "a field twice": record(ID, ID),
    "a symbol twice": record(field("f", enum("A", "A"))),
    "a type twice in a union": record(field("f", ["int", "int"])),
    "a union in a union": record(field("f", ["null", ["int"]])),
    "an enum's default that is no symbol": record(field("f", enum("A", default="B"))),
    "a name with a dash": record(name="my-order"),
    "a field's name with a dash": record(field("order-id", "string")),
}


@pytest.mark.parametrize("text", NO_SCHEMA.values(), ids=NO_SCHEMA)
def test_what_is_no_avro_schema_is_refused(text, shared, subject):
    """As 42201, and the subject does not come to be."""
    assert refusal(shared.register_schema, subject, Schema(text)).error_code == 42201
    assert subject not in shared.get_subjects()


def context(subject: str) -> SerializationContext:
    return SerializationContext(subject.removesuffix("-value"), MessageField.VALUE)


def test_avro_goes_through_confluents_serializers(client, there, subject):
    """Five bytes in front; read by another client, with a newer schema of its own."""
    number = client.register_schema(subject, Schema(V1))
    data = AvroSerializer(client, V1)({"order_id": "ORD-1", "amount": 1999}, context(subject))
    assert data[:5] == b"\0" + number.to_bytes(4, "big")
    read = AvroDeserializer(there.client(), V2)(data, context(subject))
    assert read == {"order_id": "ORD-1", "amount": 1999, "currency": "EUR"}
    with pytest.raises(SchemaRegistryError, match="987654 not found"):
        AvroDeserializer(there.client())(b"\0" + (987_654).to_bytes(4, "big") + data[5:], context(subject))


def test_json_goes_through_confluents_serializers(client, there, subject):
    """The serializer registers its schema, and its validator refuses what breaks it."""
    schema = json.dumps({
        "title": "Order", "type": "object",
        "properties": {"order_id": {"type": "string"}}, "required": ["order_id"],
    })  # fmt: skip
    write = JSONSerializer(schema, client)
    data = write({"order_id": "ORD-1"}, context(subject))
    assert JSONDeserializer(schema, schema_registry_client=there.client())(data, context(subject)) == {
        "order_id": "ORD-1"
    }
    assert there.client().get_latest_version(subject).schema.schema_type == "JSON"
    with pytest.raises(SerializationError):
        write({"order_id": 5}, context(subject))


def message(
    *fields: tuple[str, int, str], name: str = "Order", package: str = "shop", syntax: str = "proto3",
    oneof: tuple[int, ...] = (), repeated: tuple[int, ...] = (), required: tuple[int, ...] = (),
    more: tuple[str, ...] = (),
) -> FileDescriptorProto:  # fmt: skip
    """A file with a message of these fields (name, number, type), and empty messages `more`."""
    file = FileDescriptorProto(name="order.proto", package=package, syntax=syntax)
    file.enum_type.add(name="Status").value.add(name="NEW", number=0)
    made = file.message_type.add(name=name)
    for each in more:
        file.message_type.add(name=each)
    if oneof:
        made.oneof_decl.add(name="way")
    for field_name, number, kind in fields:
        label = FieldDescriptorProto.LABEL_REPEATED if number in repeated else FieldDescriptorProto.LABEL_OPTIONAL
        label = FieldDescriptorProto.LABEL_REQUIRED if number in required else label
        one = made.field.add(name=field_name, number=number, label=label)
        if kind in ("Status", *more):
            one.type_name = f".{package}.{kind}"
            one.type = FieldDescriptorProto.TYPE_ENUM if kind == "Status" else FieldDescriptorProto.TYPE_MESSAGE
        elif kind.startswith("map"):
            entry = made.nested_type.add(name=f"{field_name.capitalize()}Entry")
            entry.options.map_entry = True
            for number_of, part in ((1, "string"), (2, kind.removeprefix("map of "))):
                entry.field.add(
                    name=("key", "value")[number_of - 1], number=number_of, label=FieldDescriptorProto.LABEL_OPTIONAL,
                    type=FieldDescriptorProto.Type.Value(f"TYPE_{part.upper()}"),
                )  # fmt: skip
            one.type, one.label = FieldDescriptorProto.TYPE_MESSAGE, FieldDescriptorProto.LABEL_REPEATED
            one.type_name = f".{package}.{name}.{entry.name}"
        else:
            one.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
        if number in oneof:
            one.oneof_index = 0
    return file


def proto(file: FileDescriptorProto) -> Schema:
    """The schema as Confluent's Python client registers it: the file in base64."""
    return Schema(base64.b64encode(file.SerializeToString()).decode(), "PROTOBUF")


A, B, C = ("a", 1, "string"), ("b", 2, "int32"), ("c", 3, "string")
MAP = ("notes", 4, "map of string")

PROTOBUF = [
    ("add a field", message(A), message(A, B), BOTH),
    ("remove a field", message(A, B), message(A), BOTH),
    ("rename a field", message(A), message(("z", 1, "string")), BOTH),
    ("int32 to int64", message(B), message(("b", 2, "int64")), BOTH),
    ("int32 to bool", message(B), message(("b", 2, "bool")), BOTH),
    ("int32 to an enum", message(B), message(("b", 2, "Status")), BOTH),
    ("int32 to sint32", message(B), message(("b", 2, "sint32")), NEITHER),
    ("int32 to fixed32", message(B), message(("b", 2, "fixed32")), NEITHER),
    ("fixed64 to double", message(("b", 2, "fixed64")), message(("b", 2, "double")), NEITHER),
    ("string to bytes", message(A), message(("a", 1, "bytes")), BOTH),
    ("string to int64", message(A), message(("a", 1, "int64")), NEITHER),
    ("a reused number of another type", message(A, B), message(A, ("other", 2, "string")), NEITHER),
    ("string to repeated string", message(A), message(A, repeated=(1,)), BOTH),
    ("string to a message", message(A, more=("X",)), message(("a", 1, "X"), more=("X",)), NEITHER),
    ("another message", message(("a", 1, "X"), more=("X", "Y")), message(("a", 1, "Y"), more=("X", "Y")), NEITHER),
    ("add a message", message(A), message(A, more=("X",)), BACKWARD),
    ("another package", message(A), message(A, package="other"), NEITHER),
    ("add a map", message(A), message(A, MAP), BOTH),
    ("remove a map", message(A, MAP), message(A), BOTH),
    ("other values in a map", message(MAP), message(("notes", 4, "map of int32")), NEITHER),
    ("add a required field", message(A, syntax="proto2"), message(A, B, syntax="proto2", required=(2,)), NEITHER),
    ("add a oneof of new fields", message(A), message(A, B, oneof=(2,)), BOTH),
    ("a field moves into a new oneof", message(A), message(A, B, oneof=(1, 2)), BACKWARD),
    ("two fields move into a oneof", message(A, C), message(A, C, oneof=(1, 3)), FORWARD),
    ("a oneof loses a field", message(A, C, oneof=(1, 3)), message(A, oneof=(1,)), FORWARD),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "old", "new", "reads"), PROTOBUF, ids=lambda each: each if isinstance(each, str) else ""
)
def test_a_protobuf_change_under_each_level(change, old, new, reads, shared, confluents, subject):
    """Numbers matter, names do not."""
    if not confluents and (reads != NEITHER or change == "another package"):
        pytest.skip("Apicurio has rules of its own for this change")
    evolve(shared, subject, proto(old), proto(new), reads)


def test_protobuf_goes_through_confluents_serializers(client, there, confluents, subject):
    """The serializer registers the message's file; another client reads with a class of its own."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(message(A, B, package=f"shop{subject[:4]}x"))
    order = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"shop{subject[:4]}x.Order"))
    data = ProtobufSerializer(order, client, {"use.deprecated.format": False})(order(a="ORD-1", b=7), context(subject))
    assert data[0] == 0
    if confluents:
        read = ProtobufDeserializer(order, {"use.deprecated.format": False}, there.client())(data, context(subject))
        assert (read.a, read.b) == ("ORD-1", 7)
    assert there.client().get_latest_version(subject).schema.schema_type == "PROTOBUF"
