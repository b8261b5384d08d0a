"""A service that is asked over HTTP: `POST` an event, and it is handled when the answer comes. Lesson 15.

    200  handled    400  no event    503  not now (TransientError)    500  the handler raised something else

Python's own server is enough here; lesson 15 names what people use instead.
"""

import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labsupport.broker.process import write_atomically
from labsupport.errors import EventError, TransientError
from labsupport.experiments.breaking import forkserver
from labsupport.experiments.breaking.python_process import ChildProcess
from labsupport.experiments.breaking.service_process import ServiceProcess, require_alive
from labsupport.experiments.watching import balance
from labsupport.shop.event import Event
from labsupport.waiting import until

if TYPE_CHECKING:
    import httpx

UNLIMITED = 1_000


class HttpService(ServiceProcess):
    """The service as a process; `url` is its address. It handles at most `at_once` requests at a time."""

    def __init__(self, name: str, database: Path, *, at_once: int = UNLIMITED, **work: Any):
        super().__init__(name, database, **work)
        self.at_once = at_once
        self._address = database.with_name(f"{database.name}-address")

    @property
    def url(self) -> str:
        """Where it listens; the system chooses another port at each start."""
        return self._address.read_text(encoding="utf-8")

    def ask(self, client: "httpx.Client", event: Event, seconds: float = 30.0) -> bool:
        """Ask it to handle the event; whether it said in time that it had. False if it is dead, busy or unwilling."""
        from httpx import TransportError  # the service's own process does without it

        try:
            return client.post(self.url, content=event.encode(), timeout=seconds).is_success
        except TransportError:
            return False

    def sheet(self, events: Iterable[Event]) -> balance.Sheet:
        """What became of these events, for which it was asked."""
        return balance.of_requests(events, self.database)

    def _launch(self) -> AbstractContextManager[ChildProcess]:
        self._address.unlink(missing_ok=True)
        arguments = (self.work, self.at_once, self._address)
        return forkserver.shared().start(_serve, *arguments, name=f"the service {self.name}")

    def _until_ready(self, child: ChildProcess) -> None:
        until(lambda: require_alive(child) and self._address.exists(), 60, f"{self.name} to listen", every=0.005)


def respond(work: Callable[[Event], object], body: bytes) -> HTTPStatus:
    """Handle the event in a request's body; returns the status of the answer."""
    try:
        work(Event.decode(body))
    except EventError:
        return HTTPStatus.BAD_REQUEST
    except TransientError:
        return HTTPStatus.SERVICE_UNAVAILABLE
    except Exception:
        return HTTPStatus.INTERNAL_SERVER_ERROR
    return HTTPStatus.OK


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # so that a connection is kept
    wbufsize = -1  # header and body leave in one packet: in two, an answer takes 40 ms more
    respond: Callable[[bytes], HTTPStatus]

    def do_POST(self) -> None:
        status = type(self).respond(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        said = status.phrase.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Log nothing: the database says what was done."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # a spike waits here; with the default of 5 some of it would be turned away

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that no longer waits for its answer is no error of the service."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _serve(work: Callable[[Event], object], at_once: int, address: Path) -> None:
    """In the service's process: answer until it is killed."""
    hands = threading.Semaphore(at_once)

    def respond_in_turn(body: bytes) -> HTTPStatus:
        with hands:
            return respond(work, body)

    handler = type("Handler", (_Handler,), {"respond": staticmethod(respond_in_turn)})
    with _Server(("127.0.0.1", 0), handler) as server:  # 0: the system chooses the port
        write_atomically(address, f"http://127.0.0.1:{server.server_port}")
        server.serve_forever()
