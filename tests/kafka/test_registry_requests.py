"""Requests to the lab's registry as nobody should send them, many at once, and from another language."""

import base64
import http.client
import json
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from labsupport.broker.cluster import connect
from labsupport.errors import RegistryError
from labsupport.registry import registry
from labsupport.registry.server import LARGEST

ORDER = json.dumps({"type": "record", "name": "Order", "fields": [{"name": "order_id", "type": "string"}]})
INT, LONG = {"schema": '"int"'}, {"schema": '"long"'}


@pytest.fixture(scope="module")
def own(settings) -> Iterator[registry.OwnRegistry]:
    """A registry of the lab's; after all tests it still runs, and its log has no error of its own."""
    with connect(settings) as kafka:
        kafka.admin()
        started = registry.start(settings, kafka.bootstrap, f"schemas-{uuid.uuid4().hex[:8]}")
        process = started.process
        yield started
        assert started.process == process
        assert "Traceback" not in process.tail(100)
        started.close()


@pytest.fixture
def subject() -> str:
    """A subject's name that no other test uses."""
    return f"{uuid.uuid4().hex[:12]}-value"


@pytest.fixture
def asked(own):
    """`asked(method, path, body)` returns the HTTP status and the answer, of one connection that stays open."""
    there = urlsplit(own.url)
    connection = http.client.HTTPConnection(there.hostname, there.port)

    def ask(method: str, path: str, body: object = None, **more: object) -> tuple[int, dict]:
        data = body if isinstance(body, bytes | None) or more else json.dumps(body).encode()
        connection.request(method, path, data, **more)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else {}

    yield ask
    connection.close()


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b"schema", 400, 400, "no JSON"),
        (b"\xff\xfe", 400, 400, "no JSON"),
        (b"[" * 100_000, 400, 400, "no JSON"),
        (b"[]", 400, 400, "no JSON object"),
        (b"", 422, 42201, "Empty schema"),
        ({}, 422, 42201, "Empty schema"),
        ({"schema": ""}, 422, 42201, "Empty schema"),
        ({"schema": {"type": "string"}}, 422, 42201, "a text"),
        ({"schema": "order"}, 422, 42201, "no Avro schema"),
        ({"schema": "[" * 5_000}, 422, 42201, "no Avro schema"),
        ({"schema": '{"type": "error", "name": "E", "fields": []}'}, 422, 42201, "protocols"),
        ({"schema": '["null", {"type": "fixed", "name": "F", "size": 1}, "F"]'}, 422, 42201, "in a union twice"),
        ({"schema": ORDER.replace('"string"}', '"string", "default": 5}')}, 422, 42201, "Order.order_id"),
        ({"schema": '"int"', "schemaType": "XML"}, 422, 42201, "AVRO, JSON, PROTOBUF"),
        ({"schema": '"int"', "schemaType": 5}, 422, 42201, "AVRO, JSON, PROTOBUF"),
        ({"schema": "5", "schemaType": "JSON"}, 422, 42201, "an object, true or false"),
        ({"schema": '{"type": "money"}', "schemaType": "JSON"}, 422, 42201, "no JSON schema"),
        ({"schema": "[" * 5_000, "schemaType": "JSON"}, 422, 42201, "no JSON"),
        ({"schema": "message Order { string a = 0; }", "schemaType": "PROTOBUF"}, 422, 42201, "line 1:"),
        ({"schema": 'syntax = "proto3";', "schemaType": "PROTOBUF"}, 422, 42201, "has no message"),
        ({"schema": 'import "/etc/passwd"; message Order {}', "schemaType": "PROTOBUF"}, 422, 42201, "not found"),
        ({"schema": "message \ud800 {}", "schemaType": "PROTOBUF"}, 422, 42201, "no text"),
        ({"schema": "", "schemaType": "PROTOBUF"}, 422, 42201, "Empty schema"),
        ({**INT, "references": [{"name": "a", "subject": "b", "version": 1}]}, 422, 42201, "references"),
    ],
)
def test_what_is_no_schema_is_refused_with_a_sentence(body, status, code, words, asked, subject):
    """By each path that takes a schema, and the connection stays usable."""
    for path in (f"/subjects/{subject}/versions", f"/compatibility/subjects/{subject}/versions/latest"):
        got, said = asked("POST", path, body)
        assert (got, said["error_code"]) == (status, code), said
        assert words in said["message"]
    assert asked("GET", f"/subjects/{subject}/versions")[1]["error_code"] == 40401


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/subjects/none/versions", 404, 40401),
        ("GET", "/subjects/none/versions/latest", 404, 40401),
        ("DELETE", "/subjects/none", 404, 40401),
        ("GET", "/schemas/ids/987654", 404, 40403),
        ("GET", "/schemas/ids/none", 404, 404),
        ("GET", "/schemas/ids/-1", 404, 404),
        ("GET", f"/schemas/ids/{'9' * 5_000}", 404, 404),
        ("GET", "/subjects/there/versions/0", 422, 42202),
        ("GET", "/subjects/there/versions/one", 422, 42202),
        ("GET", "/subjects/there/versions/1.0", 422, 42202),
        ("GET", f"/subjects/there/versions/{2**31}", 422, 42202),
        ("GET", f"/subjects/there/versions/{'9' * 5_000}", 422, 42202),
        ("GET", "/subjects/there/versions/2", 404, 40402),
        ("DELETE", "/subjects/there/versions/2", 404, 40402),
        ("GET", "/config/there", 404, 40408),
        ("GET", "/mode/there", 404, 40409),
        ("PUT", "/mode", 422, 42205),
        ("PUT", "/config", 422, 42203),
        ("GET", "/nothing", 404, 404),
        ("GET", "/subjects//versions", 404, 404),
        ("PATCH", "/subjects", 405, 405),
        ("OPTIONS", "/config", 405, 405),
        ("PUT", "/subjects/there", 405, 405),
        ("BREW", "/subjects", 501, 501),
    ],
)
def test_what_is_not_there_has_confluents_code(method, path, status, code, asked):
    """Subjects, versions, ids, paths and methods."""
    asked("POST", "/subjects/there/versions", INT)
    got, said = asked(method, path)
    assert (got, said["error_code"]) == (status, code), said
    assert said["message"]
    assert asked("GET", "/subjects/there/versions")[1] == [1]


@pytest.mark.parametrize("name", ["a/b", "a b", "Größe", "%2F", "a?b#c", "日本", "a+b", "x" * 5_000])
def test_a_subject_may_have_any_name(name, asked, own):
    """Percent-encoded in a path; the client does the same."""
    assert asked("POST", f"/subjects/{quote(name, safe='')}/versions", INT)[0] == 200
    assert name in asked("GET", "/subjects")[1]
    assert asked("GET", f"/subjects/{quote(name, safe='')}/versions/1")[1]["subject"] == name
    assert own.client().get_latest_version(name).version == 1


def test_a_schema_keeps_what_no_encoding_has(asked, subject):
    """Half a character of UTF-16, which JSON can write: it comes back as it was."""
    schema = '{"type":"record","name":"Order","doc":"\\ud800 ü","fields":[]}'
    number = asked("POST", f"/subjects/{subject}/versions", {"schema": schema})[1]["id"]
    assert json.loads(asked("GET", f"/schemas/ids/{number}")[1]["schema"])["doc"] == "\ud800 ü"


def test_one_schema_in_another_spelling_has_one_id(asked, subject):
    """White space, the order of attributes, braces around a type: also with `normalize`, and whatever the format."""
    texts = [
        ORDER,
        json.dumps(json.loads(ORDER), indent=4),
        '{"name": "Order", "fields": [{"type": {"type": "string"}, "name": "order_id"}], "type": "record"}',
    ]
    answers = [
        asked("POST", f"/subjects/{subject}/versions{query}", {"schema": text})
        for text in texts
        for query in ("", "?normalize=true", "?format=resolved&unknown=1")
    ]
    assert {status for status, _ in answers} == {200}
    assert len({said["id"] for _, said in answers}) == 1
    assert asked("GET", f"/subjects/{subject}/versions")[1] == [1]


def test_another_kind_of_schema_breaks_a_level(asked, subject):
    """JSON after Avro: refused, and taken where nothing is checked."""
    asked("POST", f"/subjects/{subject}/versions", INT)
    other = {"schema": '{"type": "integer"}', "schemaType": "JSON"}
    assert asked("POST", f"/subjects/{subject}/versions", other)[0] == 409
    asked("PUT", f"/config/{subject}", {"compatibility": "none"})
    assert asked("POST", f"/subjects/{subject}/versions", other)[0] == 200


PROTO = """syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Order {
  string order_id = 1;
  google.protobuf.Timestamp made = 2;
}
"""


def test_the_text_of_a_proto_file(asked, subject):
    """Other clients register it. It is returned as it was, serialized to who asks for that, compared by numbers."""
    path = f"/subjects/{subject}/versions"
    number = asked("POST", path, {"schema": PROTO, "schemaType": "PROTOBUF"})[1]["id"]
    assert asked("GET", f"/schemas/ids/{number}")[1] == {"schemaType": "PROTOBUF", "schema": PROTO}
    for where in (f"/schemas/ids/{number}", f"{path}/latest"):
        packed = asked("GET", f"{where}?format=serialized")[1]["schema"]
        descriptor = FileDescriptorProto.FromString(base64.b64decode(packed))
        assert [each.name for each in descriptor.message_type[0].field] == ["order_id", "made"]
    renamed = {"schema": PROTO.replace("order_id", "id"), "schemaType": "PROTOBUF"}
    assert asked("POST", f"/compatibility{path}/latest", renamed)[1]["is_compatible"]
    retyped = {"schema": PROTO.replace("string order_id", "int64 order_id"), "schemaType": "PROTOBUF"}
    assert asked("POST", path, retyped)[0] == 409
    serialized = {"schema": packed, "schemaType": "PROTOBUF"}
    assert asked("POST", f"/compatibility{path}/latest", serialized)[1]["is_compatible"]


def test_a_deleted_one_is_deleted_for_good_only_when_asked(asked, subject):
    """A second soft deletion says what is needed."""
    asked("POST", f"/subjects/{subject}/versions", INT)
    asked("POST", f"/subjects/{subject}/versions", LONG)
    assert asked("DELETE", f"/subjects/{subject}/versions/1") == (200, 1)
    assert asked("DELETE", f"/subjects/{subject}/versions/1")[1]["error_code"] == 40406
    assert asked("DELETE", f"/subjects/{subject}/versions/1?permanent=true") == (200, 1)
    assert asked("DELETE", f"/subjects/{subject}") == (200, [2])
    assert asked("DELETE", f"/subjects/{subject}")[1]["error_code"] == 40404
    assert asked("DELETE", f"/subjects/{subject}?permanent=TRUE") == (200, [2])
    assert asked("DELETE", f"/subjects/{subject}?permanent=true")[1]["error_code"] == 40401


def test_what_is_too_large_is_refused(asked, subject):
    """More than the registry reads, and more than Kafka takes."""
    assert asked("POST", f"/subjects/{subject}/versions", b" " * (LARGEST + 1))[0] == 413
    large = {"schema": json.dumps({"type": "record", "name": "Order", "doc": "x" * 2_000_000, "fields": []})}
    status, said = asked("POST", f"/subjects/{subject}/versions", large)
    assert (status, said["error_code"]) == (422, 42209)
    assert asked("POST", f"/subjects/{subject}/versions", INT)[0] == 200


def test_a_body_in_chunks_is_read(asked, subject):
    """As clients send that do not know its length; too large, it is refused too."""
    chunks = [b'{"schema": ', b'"\\"int\\""}']
    assert asked("POST", f"/subjects/{subject}/versions", iter(chunks), encode_chunked=True)[0] == 200
    assert asked("GET", f"/subjects/{subject}/versions")[1] == [1]
    many = iter([b" " * 2**20] * 5)
    assert asked("POST", f"/subjects/{subject}/versions", many, encode_chunked=True)[0] == 413


def test_head_answers_without_a_body(asked):
    """And the connection goes on."""
    assert asked("HEAD", "/subjects") == (200, {})
    assert asked("GET", "/")[0] == 200


def exchange(own: registry.OwnRegistry, data: bytes, *, hang_up: bool = False) -> bytes:
    """Send bytes over a connection of their own; returns what comes until the registry closes it."""
    there = urlsplit(own.url)
    with socket.create_connection((there.hostname, there.port), timeout=300) as connection:
        connection.sendall(data)
        if hang_up:
            return b""
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_requests_in_a_pipeline_are_answered_in_their_order(own, asked, subject):
    """Three at once on one connection."""
    body = json.dumps(INT).encode()
    register = b"POST /subjects/%s/versions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
    requests = register % (subject.encode(), len(body), body)
    requests += b"GET /subjects/%s/versions HTTP/1.1\r\nHost: a\r\n\r\n" % subject.encode()
    requests += b"GET /subjects/none/versions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answers = exchange(own, requests)
    assert [part.split(b" ")[0] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"404"]
    assert b"[1]" in answers


@pytest.mark.parametrize(
    "request_of",
    [
        b"POST /subjects/%s/versions HTTP/1.1\r\nContent-Length: 500\r\n\r\n%s",
        b"POST /subjects/%s/versions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n%s",
        b"POST /subjects/%s/vers",
    ],
)
@pytest.mark.parametrize("hang_up", [True, False])
def test_a_client_that_hangs_up_half_way_registers_nothing(request_of, hang_up, own, asked, subject):
    """Although what it had sent is a whole schema."""
    given = (subject.encode(), json.dumps(INT).encode())[: request_of.count(b"%s")]
    assert b"HTTP/1.1 200" not in exchange(own, request_of % given, hang_up=hang_up)
    assert asked("GET", f"/subjects/{subject}/versions")[1]["error_code"] == 40401


@pytest.mark.parametrize("length", [b"-1", b"many", b"0x10", b"1" * 400])
def test_a_length_that_is_none_is_refused(length, own):
    """With JSON, and the connection is closed: nobody knows where the next request would begin."""
    answer = exchange(own, b"POST /subjects/a/versions HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"no length" in answer


def test_what_is_no_http_is_refused(own, asked):
    """In JSON, as everything."""
    assert b'"error_code": 400' in exchange(own, b"hello\r\n\r\n")
    assert asked("GET", "/subjects")[0] == 200


def test_a_client_that_asks_before_it_sends_is_told_to(own, subject):
    """As curl does with large bodies, and waits for a second otherwise."""
    body = json.dumps(INT).encode()
    head = b"POST /subjects/%s/versions HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    there = urlsplit(own.url)
    with socket.create_connection((there.hostname, there.port), timeout=300) as connection:
        connection.sendall(head % (subject.encode(), len(body)))
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_many_that_register_at_once_get_one_id_for_one_schema(own, subject):
    """Thirty-two connections, eight schemas, in several subjects: eight ids, none given twice."""
    own.ask("PUT", "/config", {"compatibility": "NONE"})

    def register(turn: int) -> tuple[int, int]:
        which = turn % 8
        schema = json.dumps({"type": "fixed", "name": f"F{which}", "size": 8})
        return which, own.ask("POST", f"/subjects/{subject}-{turn % 3}/versions", {"schema": schema})["id"]

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(register, range(192)))
    own.ask("PUT", "/config", {"compatibility": "BACKWARD"})
    assert len(set(answers)) == 8
    assert len({number for _, number in answers}) == 8
    for each in range(3):
        assert own.ask("GET", f"/subjects/{subject}-{each}/versions") == list(range(1, 9))


def test_of_two_that_exclude_each_other_one_is_registered(own, subject):
    """Two registrations race: the level holds for whichever comes second."""
    both = [ORDER.replace('"string"', kind) for kind in ('"int"', '"boolean"')]

    def register(schema: str) -> int:
        try:
            own.ask("POST", f"/subjects/{subject}/versions", {"schema": schema})
        except RegistryError as error:
            return error.status
        return 200

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(register, both)) == [200, 409]
    assert own.ask("GET", f"/subjects/{subject}/versions") == [1]


# Another language's client

NODE = """
import { SchemaRegistry, SchemaType } from "@kafkajs/confluent-schema-registry"
const [host, subject] = process.argv.slice(2)
const registry = new SchemaRegistry({ host })
const order = (...fields) => JSON.stringify({ type: "record", name: "Order", namespace: "shop", fields })
const id = { name: "order_id", type: "string" }
const avro = { type: SchemaType.AVRO, schema: order(id) }
const json = { type: SchemaType.JSON, schema: '{"title": "Order", "type": "object"}' }
const first = await registry.register(avro, { subject })
const again = await registry.register(avro, { subject: subject + "-2" })
const data = await registry.encode(first.id, { order_id: "ORD-1" })
const other = await registry.register(json, { subject: subject + "-json" })
const refused = await registry
  .register({ type: SchemaType.AVRO, schema: order(id, { name: "n", type: "int" }) }, { subject })
  .catch(error => error.message)
console.log(JSON.stringify({
  ids: [
    first.id, again.id, await registry.getLatestSchemaId(subject), await registry.getRegistryIdBySchema(subject, avro),
  ],
  data: data.toString("hex"),
  avro: await registry.decode(data),
  json: await registry.decode(await registry.encode(other.id, { order_id: "ORD-2" })),
  refused,
}))
"""


@pytest.mark.skipif(not shutil.which("npm"), reason="needs npm, for a client in JavaScript")
def test_a_client_in_javascript(own, subject, tmp_path):
    """Registers, encodes, decodes; reads what Python wrote, and is refused with the reason."""
    package = [
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "@kafkajs/confluent-schema-registry@3.9.0",
    ]
    (tmp_path / "package.json").write_text("{}")
    installed = subprocess.run(package, cwd=tmp_path, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"npm could not fetch the client: {installed.stderr[-200:]}")
    (tmp_path / "client.mjs").write_text(NODE)
    ran = subprocess.run(
        ["node", "client.mjs", own.url, subject], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    (number,) = set(said["ids"])
    assert own.client().get_latest_version(subject).schema_id == number
    assert bytes.fromhex(said["data"]) == b"\0" + number.to_bytes(4, "big") + b"\x0aORD-1"
    assert said["avro"] == {"order_id": "ORD-1"}
    assert said["json"] == {"order_id": "ORD-2"}
    assert "incompatible with an earlier schema" in said["refused"]
    assert "reader_field_missing_default_value: n" in said["refused"]
