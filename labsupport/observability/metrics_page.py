"""A page of metrics for Prometheus, on this machine's loopback address."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, start_http_server

from labsupport.errors import LabError


@dataclass(frozen=True)
class Page:
    """Where the metrics are served."""

    port: int

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://127.0.0.1:{self.port}/metrics"


@contextlib.contextmanager
def serve(registry: CollectorRegistry, port: int = 0) -> Iterator[Page]:
    """Serve the registry's metrics for the body of a `with`; `port` 0 takes a free one.

    A request that has begun is answered, later ones are refused. Raises LabError if the port is taken.
    """
    try:
        server, thread = start_http_server(port, "127.0.0.1", registry)
    except (OSError, OverflowError) as error:
        raise LabError(
            f"Could not serve metrics at port {port}.",
            str(error),
            "choose another port, or 0 for a free one; to see who has it: ss -ltnp (Linux), lsof -i (macOS)",
        ) from error
    try:
        yield Page(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
