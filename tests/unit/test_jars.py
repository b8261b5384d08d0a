"""The jars: which are fetched, from where, and which are never run."""

import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from labsupport.broker import jars
from labsupport.errors import LabError


def test_the_lock_pins_every_jar_once():
    """46 jars with size and SHA-256, no file name twice, one version of Kafka."""
    pinned = jars.pinned()
    assert len({jar.file_name for jar in pinned}) == len(pinned) == 46
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) and jar.size > 0 for jar in pinned)
    kafka = {jar.version for jar in pinned if jar.group == "org.apache.kafka"}
    assert kafka == {jars.kafka_version()}


@pytest.fixture
def jar(monkeypatch, runtime) -> jars.Jar:
    """A lock of one small real jar, so that these tests move kilobytes."""
    smallest = min(jars.pinned(), key=lambda each: each.size)
    monkeypatch.setattr(jars, "pinned", lambda: [smallest])
    return smallest


@pytest.fixture
def original(jar, runtime) -> Path:
    """The verified file of that jar in the user's cache."""
    return next(path for path in runtime.class_path if path.name == jar.file_name)


@pytest.fixture
def shelf(jar, original, settings, tmp_path):
    """Settings with an empty cache and an offline folder that holds the jar."""
    folder = tmp_path / "stick" / "deep"
    folder.mkdir(parents=True)
    shutil.copy(original, folder)
    return replace(settings, cache=tmp_path / "cache", offline=tmp_path / "stick")


def test_an_offline_folder_is_enough(jar, shelf):
    """The jar is found at any depth, and a second time it comes from the cache alone."""
    (path,) = jars.ensure(shelf)
    assert jar.matches(path)
    assert jars.ensure(replace(shelf, offline=None, maven="http://127.0.0.1:9")) == [path]


def test_an_offline_folder_that_lacks_a_jar_is_named(jar, shelf):
    """The sentence says which jar is missing and in which folder it was looked for."""
    shutil.rmtree(shelf.offline / "deep")
    with pytest.raises(LabError, match=re.escape(jar.file_name)) as caught:
        jars.ensure(shelf)
    assert str(shelf.offline) in str(caught.value)


@pytest.mark.parametrize("damage", [lambda data: data[:-10], lambda data: data[:-10] + b"0123456789", lambda _: b""])
def test_a_damaged_jar_in_the_cache_is_fetched_again(jar, shelf, damage):
    """Truncated, altered at equal length, or empty: it is replaced before anything runs."""
    (path,) = jars.ensure(shelf)
    path.write_bytes(damage(path.read_bytes()))
    assert jars.ensure(shelf) == [path]
    assert jar.matches(path)


def test_a_damaged_jar_without_a_source_is_refused(jar, shelf):
    """If it cannot be replaced, it is an error, and the damaged file is not handed on."""
    (path,) = jars.ensure(shelf)
    path.write_bytes(b"not a jar")
    with pytest.raises(LabError, match="Could not fetch"):
        jars.ensure(replace(shelf, offline=None, maven="http://127.0.0.1:9"))


class Mirror:
    """A Maven mirror on this machine that serves one jar, with what `serve` makes of its bytes."""

    def __init__(self, original: Path, serve):
        self.asked = []
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.asked.append(self.path)
                if self.path.endswith(original.name):
                    serve(self, original.read_bytes())
                else:
                    self.send_error(404)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/maven"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def whole(request, data):
    """Serve the file as it is."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)


def altered(request, data):
    """Serve as many bytes, and other ones."""
    whole(request, b"x" * len(data))


def cut_off(request, data):
    """Promise the whole file and hang up half-way."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data[: len(data) // 2])
    request.close_connection = True


@pytest.fixture
def mirror(original, settings, tmp_path):
    """`mirror(serve)` gives a running mirror and settings that use it with an empty cache."""
    running = []

    def start(serve):
        running.append(Mirror(original, serve))
        return running[-1], replace(settings, cache=tmp_path / "cache", maven=running[-1].address + "/")

    yield start
    for each in running:
        each.server.shutdown()
        each.server.server_close()


def test_a_mirror_is_used_instead_of_maven_central(jar, mirror):
    """The file is asked for under its Maven path at the mirror's address."""
    there, settings = mirror(whole)
    (path,) = jars.ensure(settings)
    assert jar.matches(path)
    expected = f"/maven/{jar.group.replace('.', '/')}/{jar.artifact}/{jar.version}/{jar.file_name}"
    assert there.asked[0] == expected


def test_what_a_mirror_altered_is_not_used(jar, mirror):
    """Another content of the same length is refused, and nothing stays in the cache under the jar's name."""
    _, settings = mirror(altered)
    with pytest.raises(LabError, match="is not the file that the lab expects"):
        jars.ensure(settings)
    assert not list(settings.cache.rglob("*.jar"))


def test_a_download_that_breaks_off_is_an_error_and_leaves_no_half_file(jar, mirror):
    """Half a file never gets the jar's name; the next attempt fetches it."""
    there, settings = mirror(cut_off)
    with pytest.raises(LabError, match="Could not fetch"):
        jars.ensure(settings)
    assert not list(settings.cache.rglob("*.jar"))
    assert len([path for path in there.asked if path.endswith(".jar")]) == jars.ATTEMPTS


def test_without_network_the_error_names_jar_and_remedies(jar, settings, tmp_path):
    """What is missing, and which folder to give."""
    with pytest.raises(LabError, match=re.escape(jar.file_name)) as caught:
        jars.ensure(replace(settings, cache=tmp_path, maven="http://127.0.0.1:9"))
    assert "LAB_OFFLINE=" in caught.value.next_step


def test_a_cache_that_cannot_be_written_is_an_error_with_a_remedy(jar, shelf, tmp_path):
    """A file where the cache's folder should be."""
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(LabError, match="Could not write in") as caught:
        jars.ensure(shelf)
    assert "LAB_CACHE" in caught.value.next_step


FETCH = """
from dataclasses import replace
from pathlib import Path
from labsupport.settings import Settings
from labsupport.broker import jars
for path in jars.ensure(replace(Settings.from_environment(), cache=Path({cache!r}), offline=Path({offline!r}))):
    print(path)
"""


def test_two_set_ups_at_once_share_one_cache(settings, runtime, tmp_path):
    """Both finish with every jar in place, and no scratch folder is left."""
    code = FETCH.format(cache=str(tmp_path), offline=str(runtime.class_path[0].parent))
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [each.communicate(timeout=300) for each in both]
    assert [each.returncode for each in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert len(outputs[0][0].splitlines()) == 46
    assert not list(tmp_path.rglob(".fetch-*"))


ONE_JAR = """
from labsupport.settings import Settings
from labsupport.broker import jars
smallest = [jar for jar in jars.pinned() if jar.file_name == {name!r}]
jars.pinned = lambda: smallest
jars.ensure(Settings.from_environment())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a single process")
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_an_interrupted_fetch_goes_on_where_it_was(how, jar, mirror, shelf):
    """Ctrl-C or a killed set-up in the middle of a download: the next one succeeds and sweeps up."""
    begun, release = threading.Event(), threading.Event()

    def slowly(request, data):
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data[:100])
        request.wfile.flush()
        begun.set()
        release.wait(300)

    there, settings = mirror(slowly)
    environment = {**os.environ, "LAB_CACHE": str(settings.cache), "LAB_MAVEN": there.address}
    code = ONE_JAR.format(name=jar.file_name)
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
    assert begun.wait(300)
    process.send_signal(getattr(signal, how))
    release.set()
    assert process.wait(300) != 0
    assert not list(settings.cache.glob(f"jars-*/{jar.file_name}"))
    (path,) = jars.ensure(shelf)
    assert jar.matches(path)
    assert not list(settings.cache.rglob(".fetch-*"))
