"""Which errors pass by themselves: raised for real, by the system and by the libraries that a handler may use."""

import errno
import http.server
import smtplib
import socket
import ssl
import threading
import urllib.request
from functools import partial

import confluent_kafka
import httpx
import pytest
import requests
import urllib3
from kafka.errors import NotLeaderForPartitionError, UnknownTopicOrPartitionError

from labsupport.delivery.retry import PERMANENT, TRANSIENT, UNKNOWN, classify
from labsupport.delivery.transient_errors import passes
from labsupport.errors import PermanentError

# A deadline that is missed passes by itself: only where nothing comes may it be short.
LIBRARIES = {
    "urllib": lambda url, seconds=300: urllib.request.urlopen(url, timeout=seconds).read(),
    "requests": lambda url, seconds=300: requests.get(url, timeout=seconds).raise_for_status(),
    "httpx": lambda url, seconds=300: httpx.get(url, timeout=seconds).raise_for_status(),
    "urllib3": lambda url, seconds=300: urllib3.request("GET", url, timeout=seconds, retries=False),
}


NOWHERE = "nowhere.invalid"  # a name that never is one (RFC 2606)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the code that the path names; or hangs, or cuts the answer off."""

    def do_GET(self):
        what = self.path.strip("/")
        if what == "hang":
            self.server.over.wait(300)
        elif what == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x")
        elif what != "close":
            self.send_response(int(what))
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_):
        """Nothing is printed."""


@pytest.fixture(scope="module")
def url():
    """The address of a server on this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.over = threading.Event()
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.over.set()
        server.shutdown()


def raised(action, *args):
    """The error that `action` raises."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any error
        action(*args)
    return caught.value


@pytest.mark.parametrize("library", ["urllib", "requests", "httpx"])
@pytest.mark.parametrize(("code", "kind"), [
    (400, UNKNOWN), (401, UNKNOWN), (403, UNKNOWN), (404, UNKNOWN), (410, UNKNOWN), (422, UNKNOWN), (500, UNKNOWN),
    (501, UNKNOWN), (408, TRANSIENT), (425, TRANSIENT), (429, TRANSIENT), (502, TRANSIENT), (503, TRANSIENT),
    (504, TRANSIENT),
])  # fmt: skip
def test_an_answer_of_a_server_passes_if_it_says_so(url, library, code, kind):
    """A 404 is never transient, whichever library raises it."""
    assert classify(raised(LIBRARIES[library], f"{url}/{code}")) == kind


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("what", ["nobody listens", "no such host", "hang", "cut", "close"])
def test_what_the_network_does_passes(url, library, what):
    """Refused, not found, too late, cut off, closed without an answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and does not listen
        address = {
            "nobody listens": f"http://127.0.0.1:{free.getsockname()[1]}/",
            "no such host": "http://" + NOWHERE,
        }.get(what, f"{url}/{what}")
        assert classify(raised(LIBRARIES[library], address, 0.2 if what == "hang" else 300)) == TRANSIENT


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("address", ["no address", "http://", "foo://x", "http://[::bad/", "http://127.0.0.1:port/"])
def test_an_address_that_makes_no_sense_does_not(library, address):
    """It will not make more sense tomorrow."""
    assert classify(raised(LIBRARIES[library], address)) == UNKNOWN


def test_a_certificate_does_not_pass():
    """Libraries call that a failed connection."""
    refused = ssl.SSLCertVerificationError(1, "self-signed certificate")
    wrapped = requests.exceptions.SSLError(
        urllib3.exceptions.MaxRetryError(None, "/", urllib3.exceptions.SSLError(refused))
    )
    connecting = httpx.ConnectError("self-signed certificate")
    connecting.__cause__ = refused
    for error in (refused, wrapped, connecting, urllib.error.URLError(refused)):
        assert not passes(error)
        assert classify(error) == UNKNOWN
    assert passes(ssl.SSLEOFError(8, "EOF occurred in violation of protocol"))
    assert not passes(ssl.SSLError(1, "wrong version number"))


def test_files_and_disks(tmp_path):
    """The disk, or this one file."""
    (tmp_path / "file").touch()
    missing = [
        partial((tmp_path / "no such template").read_text),
        partial((tmp_path).read_text),
        partial((tmp_path / "file" / "below").read_text),
        partial((tmp_path / ("x" * 300)).read_text),
        partial((tmp_path / "file").mkdir),
    ]
    for action in missing:
        assert classify(raised(action)) == UNKNOWN
    assert classify(PermissionError(errno.EACCES, "not yours")) == UNKNOWN
    for number in (errno.ENOSPC, errno.EIO, errno.EMFILE, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAGAIN):
        assert classify(OSError(number, "the machine")) == TRANSIENT
    assert classify(OSError("nobody knows what")) == UNKNOWN
    assert classify(raised(requests.models.Response().json)) == UNKNOWN


def test_names():
    """Not found, or asked for nonsense: the numbers are others than those of files."""
    assert classify(raised(socket.getaddrinfo, NOWHERE, 80)) == TRANSIENT
    assert classify(raised(socket.getaddrinfo, "localhost", "no such service")) == UNKNOWN


def test_other_protocols():
    """Mail, and the Kafka clients that are here."""
    busy, rejected = smtplib.SMTPResponseException(451, b"busy"), smtplib.SMTPResponseException(550, b"no such user")
    assert (classify(busy), classify(rejected)) == (TRANSIENT, UNKNOWN)
    assert classify(smtplib.SMTPServerDisconnected("gone")) == TRANSIENT
    transport, large = (
        confluent_kafka.KafkaException(confluent_kafka.KafkaError(code))
        for code in (confluent_kafka.KafkaError._TRANSPORT, confluent_kafka.KafkaError.MSG_SIZE_TOO_LARGE)
    )
    assert (classify(transport), classify(large)) == (TRANSIENT, UNKNOWN)
    assert classify(NotLeaderForPartitionError()) == classify(UnknownTopicOrPartitionError()) == TRANSIENT


def test_who_says_permanent_is_believed_whatever_the_cause():
    """A cause counts where the error itself says nothing; the nearest one that says something."""
    no = PermanentError("no such auction")
    no.__cause__ = ConnectionResetError()
    outer = RuntimeError("payment failed")
    outer.__cause__ = no
    assert classify(outer) == PERMANENT
    assert classify(RuntimeError(TimeoutError("no answer"))) == TRANSIENT
