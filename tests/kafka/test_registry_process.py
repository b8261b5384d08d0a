"""The schema registry as a process of the lab, and another one that LAB_REGISTRY names."""

import base64
import contextlib
import dataclasses
import json
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import URLError

import pytest
from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.error import SchemaRegistryError

from labsupport.broker import processes
from labsupport.broker.process import Process
from labsupport.course.lab import Lab
from labsupport.errors import LabError, RegistryError
from labsupport.registry import registry
from labsupport.registry.registry import Registry
from labsupport.settings import Settings
from labsupport.waiting import until

SCHEMA = Schema('{"type":"record","name":"Order","fields":[{"name":"id","type":"string"}]}', "AVRO")
OTHER = Schema('{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},'
               '{"name":"note","type":"string","default":""}]}', "AVRO")  # fmt: skip


@pytest.fixture
def lesson(cluster, settings):
    """A lesson, as `lesson()` makes it, closed after the test."""
    with Lab("98", cluster, settings) as lesson:
        yield lesson


# The lab's own


def test_a_lesson_has_a_registry_with_nothing_in_it(lesson, settings):
    """Each call begins anew, with id 1; the earlier one has ended, and the last one ends with the lesson."""
    first = lesson.registry()
    assert first.client().register_schema("98-orders-value", SCHEMA) == 1
    second = lesson.registry()
    assert first.process is None
    assert second.ask("GET", "/subjects") == []
    assert second.client().register_schema("98-orders-value", SCHEMA) == 1
    lesson.close()
    assert second.process is None
    assert not second.folder.exists()
    assert not processes.running(settings, ["private-registry"])


def test_a_registry_that_is_killed_comes_back_with_all_it_knew(lesson):
    """At the same address, so that a client goes on; levels and deletions too. A second start changes nothing."""
    own = lesson.registry()
    client = own.client()
    ids = [client.register_schema("98-orders-value", each) for each in (SCHEMA, OTHER)]
    client.set_compatibility("98-orders-value", "FULL")
    client.register_schema("98-gone-value", SCHEMA)
    client.delete_subject("98-gone-value")
    client.delete_subject("98-gone-value", permanent=True)
    before, url = own.process, own.url
    own.kill()
    with pytest.raises((URLError, ConnectionError)):
        own.ask("GET", "/subjects")
    own.start()
    assert own.url == url
    assert own.process != before
    assert [client.get_version("98-orders-value", number).schema_id for number in (1, 2)] == ids
    assert client.get_compatibility("98-orders-value") == "FULL"
    assert client.get_subjects() == ["98-orders-value"]
    assert own.client().register_schema("98-new-value", Schema('"string"', "AVRO")) == 3
    now = own.process
    own.start()
    assert own.process == now


def test_it_outlives_its_broker(settings, lesson):
    """Readers are served while Kafka is away; a write is refused, and works again when Kafka is back."""
    with lesson.private() as mine:
        own = mine.registry()
        client = own.client(max_retries=0)
        client.register_schema("98-orders-value", SCHEMA)
        mine.broker(1).stop()
        assert json.loads(own.client().get_schema(1).schema_str) == json.loads(SCHEMA.schema_str)
        with pytest.raises(SchemaRegistryError) as caught:
            client.register_schema("98-orders-value", OTHER)
        assert caught.value.http_status_code == 500
        mine.broker(1).start()
        assert own.process

        def stored() -> bool:
            with contextlib.suppress(SchemaRegistryError):
                return bool(client.register_schema("98-orders-value", OTHER))
            return False

        until(stored, 300, "the registry to write again")
        assert client.get_versions("98-orders-value") == [1, 2]
        versions = [client.get_version("98-orders-value", number) for number in (1, 2)]
        assert [each.schema_id for each in versions] == [1, 2]


def test_a_topic_that_is_not_compacted_is_refused(cluster, settings, lesson):
    """Kafka would delete old schemas, and with them the meaning of old events."""
    topic = lesson.topic("schemas")
    with pytest.raises(LabError, match="policy is delete"):
        registry.start(settings, cluster.bootstrap, topic)
    assert not processes.running(settings, ["private-registry"])


def test_up_keeps_one_for_other_tools(elsewhere, lab, typed):
    """Twice is the same; status and doctor show it, a frozen one is resumed, and `down` ends it."""
    first = typed("up", "--registry")
    assert first.returncode == 0, first.stderr
    told = json.loads(lab("status", "--json").stdout)
    url = told["registry"]
    assert {"background", "registry"} <= {each["role"] for each in told["processes"]}
    assert url in first.stdout
    assert url in lab("status").stdout
    assert f"ok   schema registry: {url}" in lab("doctor").stdout
    assert Registry(url).client().register_schema("orders-value", SCHEMA) == 1
    process = Process.recorded(elsewhere.home / "registry" / "process.json")
    process.pause()
    again = lab("up", "--registry")
    assert url in again.stdout
    assert Process.recorded(elsewhere.home / "registry" / "process.json") == process
    process.kill()
    assert json.loads(lab("status", "--json").stdout)["registry"] is None
    assert lab("up", "--registry").returncode == 0
    found = Registry(json.loads(lab("status", "--json").stdout)["registry"])
    assert found.ask("GET", "/subjects") == ["orders-value"]
    assert "the schema registry" in lab("down").stdout
    assert not processes.running(elsewhere)
    assert "not running" in lab("doctor").stdout


# Another one


class Other(BaseHTTPRequestHandler):
    """A server that wants a user and password, and answers what it was told to."""

    said: object = []
    wants = ""

    def do_GET(self):
        """Answer anything with the same."""
        given = self.headers.get("Authorization", "")
        good = not self.wants or given == f"Basic {base64.b64encode(self.wants.encode()).decode()}"
        data = self.said.encode() if isinstance(self.said, str) else json.dumps(self.said).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def other():
    """`other(said, wants, context)` serves on a free port, and gives it."""
    with contextlib.ExitStack() as stack:

        def serve(said=(), wants="", context=None):
            server = ThreadingHTTPServer(("127.0.0.1", 0), type("Told", (Other,), {"said": said, "wants": wants}))
            if context:
                server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return server.server_address[1]

        yield serve


def named(url, **more):
    """What LAB_REGISTRY=url gives."""
    return Registry.named(Settings.from_environment({"LAB_REGISTRY": url, **more}))


def test_a_lesson_uses_the_one_that_is_named(lesson, elsewhere, settings):
    """It deletes its own subjects there first, and no others; it cannot kill it."""
    theirs = registry.start(settings, lesson.bootstrap, lesson.topic("theirs", cleanup_policy="compact"))
    client = theirs.client()
    for name in ("98-orders-value", "98-old/value", "97-orders-value", "mine"):
        client.register_schema(name, SCHEMA)
    client.delete_subject("98-old/value")
    with Lab("98", lesson, dataclasses.replace(settings, registry=theirs.url)) as mine:
        used = mine.registry()
        assert used.client().get_subjects() == ["97-orders-value", "mine"]
        assert used.ask("GET", "/subjects?deleted=true") == ["97-orders-value", "mine"]
        with pytest.raises(LabError, match="did not start"):
            used.kill()
    assert theirs.process
    theirs.close()


@pytest.mark.parametrize(
    "url", ["localhost:8081", "ftp://localhost", "http://", "http://localhost:port", "http://localhost:99999"]
)
def test_what_is_no_url_is_refused_without_being_shown(url):
    """It may hold a password."""
    with pytest.raises(LabError) as caught:
        Settings.from_environment({"LAB_REGISTRY": url.replace("localhost", "anna:secret@localhost")})
    assert "LAB_REGISTRY" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_user_and_password(other):
    """They reach the registry, and nothing that is printed; a wrong one is called wrong."""
    port = other([], "an na:se:cret/ä")
    good = named(f"http://an%20na:se%3Acret%2F%C3%A4@127.0.0.1:{port}")
    assert good.ask("GET", "/subjects") == []
    assert "cret" not in repr(good) + good.url + repr(
        Settings.from_environment({"LAB_REGISTRY": "http://a:cret@localhost"})
    )
    assert good.client().get_subjects() == []
    with pytest.raises(LabError, match="user or password is wrong") as caught:
        named(f"http://anna:secret@127.0.0.1:{port}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("said", ["<html>hello</html>", {"brokers": []}, "", "null"])
def test_a_server_that_is_no_registry(other, said):
    """A page, another service's JSON, nothing."""
    with pytest.raises(LabError, match="no schema registry"):
        named(f"http://127.0.0.1:{other(said)}")


def test_a_server_that_does_not_speak_http():
    """Its first line is no answer to any request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                connection.sendall(b"SSH-2.0-server\r\n")
                connection.recv(1_000)
                connection.close()

        threading.Thread(target=greet, daemon=True).start()
        with pytest.raises(LabError, match="no schema registry"):
            named(f"http://127.0.0.1:{listener.getsockname()[1]}")


def test_a_port_where_nothing_answers_or_kafka(cluster):
    """Both are named, with what to set."""
    for port in (1, cluster.bootstrap.rpartition(":")[2]):
        with pytest.raises(LabError) as caught:
            named(f"http://127.0.0.1:{port}")
        assert f"http://127.0.0.1:{port} (LAB_REGISTRY) cannot be used" in str(caught.value)


def test_a_certificate_of_ones_own(other, tmp_path):
    """Unknown, it is refused; with LAB_REGISTRY_CA it is trusted, by Confluent's client too. A file must be there."""
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "ca.pem"]  # fmt: skip
    try:
        subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl here to make a certificate")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    url = f"https://127.0.0.1:{other([], '', context)}"
    with pytest.raises(LabError, match=r"(?i)certificate"):
        named(url)
    found = named(url, LAB_REGISTRY_CA=str(tmp_path / "ca.pem"))
    assert found.client().get_subjects() == []
    with pytest.raises(LabError, match="LAB_REGISTRY_CA"):
        named(url, LAB_REGISTRY_CA=str(tmp_path / "none.pem"))


def test_a_registry_that_does_not_delete(other):
    """Then a lesson says so before it begins."""
    port = other(["98-orders-value"])
    found = named(f"http://127.0.0.1:{port}")
    with pytest.raises(LabError, match="does not delete"):
        found.clear("98-")


def test_a_refusal_has_confluents_code(lesson):
    """And its sentence."""
    with pytest.raises(RegistryError) as caught:
        lesson.registry().ask("GET", "/subjects/none/versions")
    assert (caught.value.status, caught.value.code) == (404, 40401)
