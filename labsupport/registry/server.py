"""The registry's HTTP interface: the paths, answers and error codes of Confluent's "Schema Registry API Reference".

It does not do: references between schemas, contexts, modes, rules and metadata, leader election, and a comparison of
JSON schemas. It listens on this machine's loopback address only.
"""

import json
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from labsupport.errors import RegistryError, SchemaError
from labsupport.registry.protobuf_schemas import serialized
from labsupport.registry.schema_topic import SchemaTopic
from labsupport.registry.subjects import AVRO, LATEST, PROTOBUF, TYPES, Subjects, Version, normal, valid_level

CONTENT = "application/vnd.schemaregistry.v1+json"
LARGEST = 4 * 2**20  # bytes of a request; Kafka takes no record of more than one MiB by default
PART = 2**16  # bytes read at once

Record = tuple[dict[str, Any], Any]


class Request:
    """What a path's function gets: the parts of the path, the query, and the body (a JSON object, or empty)."""

    def __init__(self, topic: SchemaTopic, parts: tuple[str, ...], query: dict[str, str], body: dict[str, Any]):
        self.topic, self.parts, self.query, self.body = topic, parts, query, body

    def asks(self, name: str) -> bool:
        """Whether the query has `name=true`."""
        return self.query.get(name, "").lower() == "true"

    def formatted(self, value: dict[str, Any]) -> dict[str, Any]:
        """The value of a version as the query's `format` wants it: a Protobuf schema can be asked for serialized."""
        if value.get("schemaType") == PROTOBUF and self.query.get("format") == "serialized":
            return {**value, "schema": serialized(value["schema"])}
        return value

    @property
    def schema(self) -> tuple[str, str]:
        """The kind and text of the schema in the body. Raises RegistryError for what the registry does not do."""
        kind, text = self.body.get("schemaType") or AVRO, self.body.get("schema")
        if not isinstance(text, str) or not text:
            raise RegistryError(422, 42201, "Empty schema: the body needs a `schema`, a text")
        if self.body.get("references"):
            raise RegistryError(422, 42201, "The lab's registry does not do references between schemas")
        return kind, text


def types(_request: Request) -> Any:
    """The kinds of schemas."""
    return list(TYPES)


def subjects(request: Request) -> Any:
    """The names of the subjects, or of those that begin with `subjectPrefix`."""
    with request.topic.state() as state:
        names = state.names(request.asks("deleted"))
    return [name for name in names if name.startswith(request.query.get("subjectPrefix", "").removeprefix(":*:"))]


def versions(request: Request) -> Any:
    """The numbers of a subject's versions."""
    with request.topic.state() as state:
        return [each.version for each in state.of(request.parts[0], request.asks("deleted"))]


def version(request: Request) -> Any:
    """One version of a subject."""
    with request.topic.state() as state:
        subject, number = request.parts
        return request.formatted(state.version(subject, number, request.asks("deleted")).value)


def version_schema(request: Request) -> Any:
    """The schema of a version alone."""
    return _alone(version(request))


def referenced_by(request: Request) -> Any:
    """The ids of the schemas that refer to a version: the registry does not do references."""
    version(request)
    return []


def by_id(request: Request) -> Any:
    """The schema with an id."""
    with request.topic.state() as state:
        found = request.formatted(state.with_id(_id(request.parts[0]))[0].value)
    return {name: found[name] for name in ("schemaType", "schema") if name in found}


def schema_of_id(request: Request) -> Any:
    """The schema with an id, alone."""
    return _alone(by_id(request))


def subjects_of_id(request: Request) -> Any:
    """The subjects that have the schema with an id."""
    with request.topic.state() as state:
        return sorted({each.subject for each in state.with_id(_id(request.parts[0])) if not each.deleted})


def versions_of_id(request: Request) -> Any:
    """The subjects and versions that have the schema with an id."""
    with request.topic.state() as state:
        found = [each for each in state.with_id(_id(request.parts[0])) if not each.deleted]
    return [{"subject": each.subject, "version": each.version} for each in found]


def register(request: Request) -> Any:
    """Register a schema: its id, which it may have already."""
    subject, (kind, text) = request.parts[0], request.schema

    def decide(state: Subjects) -> tuple[Any, list[Record]]:
        made = state.register(subject, kind, text)
        new = state.same(subject, made.kind, made.schema) is None
        return {"id": made.id}, [_record(made)] if new else []

    return request.topic.change(decide)


def look_up(request: Request) -> Any:
    """Find a schema in a subject."""
    kind, text = request.schema
    with request.topic.state() as state:
        state.of(request.parts[0], request.asks("deleted"))
        found = state.same(request.parts[0], kind, normal(kind, text), request.asks("deleted"))
    if found is None:
        raise RegistryError(404, 40403, "Schema not found")
    return found.value


def compatible(request: Request) -> Any:
    """Whether a schema keeps the subject's level against one version, or against those that the level names."""
    (subject, *which), (kind, text) = request.parts, request.schema
    with request.topic.state() as state:
        # As Confluent's: whatever comes first in a subject keeps any level.
        first = subject not in state.names() and (not which or which[0] in LATEST)
        earlier = [] if first else [state.version(subject, which[0])] if which else state.of(subject)
        reasons = state.breaks(subject, kind, text, earlier)
    return {"is_compatible": not reasons} | ({"messages": reasons} if request.asks("verbose") else {})


def get_level(request: Request) -> Any:
    """The level of a subject, or the global one."""
    subject = "".join(request.parts)
    with request.topic.state() as state:
        if subject and subject not in state.levels and not request.asks("defaultToGlobal"):
            said = f"Subject '{subject}' does not have subject-level compatibility configured"
            raise RegistryError(404, 40408, said)
        return {"compatibilityLevel": state.level(subject)}


def set_level(request: Request) -> Any:
    """Set the level of a subject, or the global one."""
    level, subject = valid_level(request.body), "".join(request.parts)
    named = {"subject": subject} if subject else {}
    record = _level_key(subject), {**named, "compatibilityLevel": level}
    return request.topic.change(lambda _: ({"compatibility": level}, [record]))


def delete_level(request: Request) -> Any:
    """Let the global level hold for a subject again."""
    subject = "".join(request.parts)

    def decide(state: Subjects) -> tuple[Any, list[Record]]:
        if subject and subject not in state.levels:
            raise RegistryError(404, 40401, f"Subject '{subject}' not found.")
        return {"compatibilityLevel": state.level(subject)}, [(_level_key(subject), None)]

    return request.topic.change(decide)


def delete_subject(request: Request) -> Any:
    """Delete the versions of a subject; for good only after they were deleted before."""
    (subject,), permanent = request.parts, request.asks("permanent")

    def decide(state: Subjects) -> tuple[Any, list[Record]]:
        found, living = state.of(subject, deleted=True), subject in state.names()
        if permanent and living:
            said = f"Subject '{subject}' was not deleted first before being permanently deleted"
            raise RegistryError(404, 40405, said)
        if not permanent and not living:
            said = f"Subject '{subject}' was soft deleted.Set permanent=true to delete permanently"
            raise RegistryError(404, 40404, said)
        found = [each for each in found if permanent or not each.deleted]
        level = [(_level_key(subject), None)] if subject in state.levels else []
        return [each.version for each in found], [_removal(each, permanent) for each in found] + level

    return request.topic.change(decide)


def delete_version(request: Request) -> Any:
    """Delete one version; for good only after it was deleted before."""
    (subject, number), permanent = request.parts, request.asks("permanent")

    def decide(state: Subjects) -> tuple[Any, list[Record]]:
        found = state.version(subject, number, deleted=permanent or number not in LATEST)
        if permanent and not found.deleted:
            said = f"Subject '{subject}' Version {number} was not deleted first before being permanently deleted"
            raise RegistryError(404, 40407, said)
        if not permanent and found.deleted:
            said = f"Subject '{subject}' Version {number} was soft deleted.Set permanent=true to delete permanently"
            raise RegistryError(404, 40406, said)
        return found.version, [_removal(found, permanent)]

    return request.topic.change(decide)


def mode(request: Request) -> Any:
    """The mode, which is always the same, and no subject has one of its own."""
    if request.parts and not request.asks("defaultToGlobal"):
        said = f"Subject '{request.parts[0]}' does not have subject-level mode configured"
        raise RegistryError(404, 40409, said)
    return {"mode": "READWRITE"}


def set_mode(_request: Request) -> Any:
    """Refuse to change the mode."""
    raise RegistryError(422, 42205, "The lab's registry does not do modes: it is always READWRITE")


def contexts(_request: Request) -> Any:
    """The contexts: the default one."""
    return ["."]


def nothing(_request: Request) -> Any:
    """The root, by which clients see that it lives."""
    return {}


NAME, NUMBER = r"/([^/]+)", r"/([^/]+)"
PATHS: list[tuple[str, str, Callable[[Request], Any]]] = [
    ("GET", "/?", nothing),
    ("GET", "/contexts/?", contexts),
    ("GET", "/schemas/types/?", types),
    ("GET", f"/schemas/ids{NUMBER}", by_id),
    ("GET", f"/schemas/ids{NUMBER}/schema", schema_of_id),
    ("GET", f"/schemas/ids{NUMBER}/subjects", subjects_of_id),
    ("GET", f"/schemas/ids{NUMBER}/versions", versions_of_id),
    ("GET", "/subjects/?", subjects),
    ("POST", f"/subjects{NAME}", look_up),
    ("DELETE", f"/subjects{NAME}", delete_subject),
    ("GET", f"/subjects{NAME}/versions/?", versions),
    ("POST", f"/subjects{NAME}/versions/?", register),
    ("GET", f"/subjects{NAME}/versions{NUMBER}", version),
    ("GET", f"/subjects{NAME}/versions{NUMBER}/schema", version_schema),
    ("GET", f"/subjects{NAME}/versions{NUMBER}/referencedby", referenced_by),
    ("DELETE", f"/subjects{NAME}/versions{NUMBER}", delete_version),
    ("POST", f"/compatibility/subjects{NAME}/versions/?", compatible),
    ("POST", f"/compatibility/subjects{NAME}/versions{NUMBER}", compatible),
    ("GET", f"/config(?:{NAME})?/?", get_level),
    ("PUT", f"/config(?:{NAME})?/?", set_level),
    ("DELETE", f"/config(?:{NAME})?/?", delete_level),
    ("GET", f"/mode(?:{NAME})?/?", mode),
    ("PUT", f"/mode(?:{NAME})?/?", set_mode),
]


def answer(topic: SchemaTopic, method: str, target: str, body: bytes) -> tuple[int, Any]:
    """Answer a request: HTTP status, and what is sent as JSON."""
    split = urlsplit(target)
    matches = [(found, function, verb) for verb, path, function in PATHS if (found := re.fullmatch(path, split.path))]
    if not matches:
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}
    for found, function, verb in matches:
        if verb == method:
            query = {name: values[-1] for name, values in parse_qs(split.query).items()}
            parts = tuple(unquote(part) for part in found.groups() if part is not None)
            try:
                return 200, function(Request(topic, parts, query, _object(body)))
            except RegistryError as error:
                return error.status, {"error_code": error.code, "message": str(error)}
            except SchemaError as error:
                return 422, {"error_code": 42201, "message": f"Invalid schema: {error}"}
            except Exception as error:  # an error of the registry itself: the client gets an answer, the log the trace
                traceback.print_exc()
                return 500, {"error_code": 500, "message": f"{type(error).__name__}: {error}"}
    return 405, {"error_code": 405, "message": "HTTP 405 Method Not Allowed"}


class Handler(BaseHTTPRequestHandler):
    """A connection, kept open between requests."""

    protocol_version = "HTTP/1.1"
    # Header and body leave in one packet: apart, the second would wait for the acknowledgement of the first (40 ms).
    wbufsize = -1
    topic: SchemaTopic

    def do_GET(self) -> None:
        """Answer a request of any method."""
        try:
            body = self._body()
        except RegistryError as error:
            self.send_error(error.status, str(error))
        else:
            self._send(*answer(self.topic, "GET" if self.command == "HEAD" else self.command, self.path, body))

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815 - the library's names

    def handle_expect_100(self) -> bool:
        """Tell a client that asks first to send its body."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request that can be answered, and close the connection."""
        self.close_connection = True
        self._send(code, {"error_code": int(code), "message": message or explain or HTTPStatus(code).phrase})

    def log_message(self, *_: object) -> None:
        """Log nothing: schemas are not for a log."""

    def _send(self, status: int, said: Any) -> None:
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", CONTENT)
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        self.wfile.flush()

    def _body(self) -> bytes:
        """Return the body. Raises RegistryError if it is too large or damaged, ConnectionError if it breaks off.

        One that is too large is read to its end: a client that still sends would not read the answer.
        """
        body, size = bytearray(), 0
        for part in self._parts():
            size += len(part)
            if size <= LARGEST:
                body += part
        if size > LARGEST:
            raise RegistryError(413, 413, f"The body has {size} bytes, and may have {LARGEST}")
        return bytes(body)

    def _parts(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield from self._exactly(_size(self.headers.get("Content-Length", "0"), 10))
            return
        while size := _size(self._line().partition(b";")[0].decode("latin-1"), 16):
            yield from self._exactly(size)
            self._line()
        while self._line().strip():
            """A trailer, which says nothing that the registry needs."""

    def _line(self) -> bytes:
        if not (line := self.rfile.readline(1_000)).endswith(b"\n"):
            raise ConnectionError("the client hung up")
        return line

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            if not (part := self.rfile.read(min(size, PART))):
                raise ConnectionError("the client hung up")
            size -= len(part)
            yield part


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 128  # with the default of 5, clients that come at once wait for a second

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what is an error of the registry; a client that hangs up is none."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def serve(topic: SchemaTopic, port: int) -> Server:
    """Return a server on 127.0.0.1 at this port (0: any free one), which `serve_forever` runs. Raises OSError."""
    return Server(("127.0.0.1", port), type("RegistryHandler", (Handler,), {"topic": topic}))


def _object(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RegistryError(400, 400, f"the body is no JSON: {error}") from error
    if not isinstance(said, dict):
        raise RegistryError(400, 400, "the body is no JSON object")
    return said


def _size(number: str, base: int) -> int:
    if not re.fullmatch("[0-9A-Fa-f]{1,15}" if base == 16 else "[0-9]{1,15}", number.strip()):
        raise RegistryError(400, 400, f"{number!r} is no length of a body")
    return int(number, base)


def _id(number: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", number):
        raise RegistryError(404, 404, "HTTP 404 Not Found")
    return int(number)


def _alone(said: dict[str, Any]) -> Any:
    return said["schema"] if said.get("schemaType") == PROTOBUF else json.loads(said["schema"])


def _record(made: Version) -> Record:
    return made.key, {**made.value, "deleted": made.deleted}


def _removal(gone: Version, permanent: bool) -> Record:
    return gone.key, None if permanent else {**gone.value, "deleted": True}


def _level_key(subject: str) -> dict[str, Any]:
    return {"keytype": "CONFIG", "subject": subject or None, "magic": 0}
