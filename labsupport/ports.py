"""Ports of this machine for what the lab starts.

They lie below those that operating systems choose for outgoing connections (Linux: from 32768, `ip_local_port_range` in
ip(7); others: from 49152, RFC 6335). Up there any program's connection could take the port of a broker that is down for
a moment, and the broker could not come back.
"""

import contextlib
import random
import socket
import sys
from collections.abc import Sequence

from labsupport.errors import LabError

HOST = "127.0.0.1"
LISTENING = range(10_000, 32_768)


def free_port() -> int:
    """Return a port of the loopback interface that is free now."""
    return free_ports(1)[0]


def free_ports(count: int, preferred: Sequence[int] = ()) -> list[int]:
    """Return `count` different ports of the loopback interface that are free now, those in `preferred` first.

    Raises LabError if there are not so many.
    """
    chosen: list[int] = []
    with contextlib.ExitStack() as held:  # until all are chosen
        for port in [*preferred, *random.SystemRandom().sample(LISTENING, len(LISTENING))]:
            if len(chosen) == count:
                break
            with contextlib.suppress(OSError):
                listener = held.enter_context(socket.socket())
                if sys.platform != "win32":  # on Windows the option lets two programs share the port
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((HOST, port))
                listener.listen()
                chosen.append(port)
    if len(chosen) < count:
        raise LabError(
            f"This machine has no {count} free ports.",
            f"programs listen at nearly all from {LISTENING[0]} to {LISTENING[-1]}",
            "end some of them; python3 lab.py status shows which are the lab's",
        )
    return chosen
