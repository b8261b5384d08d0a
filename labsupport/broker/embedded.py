"""Brokers that the lab runs itself: Apache Kafka in KRaft mode, as plain child processes of this machine.

A cluster is a folder. It outlives the program that started the brokers, so another program finds them with an
`EmbeddedCluster` on the same folder:

    cluster.json        ids and ports
    client.properties   how clients connect, if the brokers want a password
    1/                  working directory of broker 1: server.properties, server.log, process.json
    1/data/             its storage (format, topics)
    1/tmp/              files that its libraries unpack while it runs

Nodes 1 to n are brokers and controllers. Or they are brokers only, and node n + 1 is their controller; then
cluster.json has 0 for the port that a node lacks. Every address is on the loopback interface.
"""

import contextlib
import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from labsupport.broker import java_ended, own_access
from labsupport.broker.java_runtime import ENVIRONMENT, LOGGING, TEMPORARY, Runtime, new_id
from labsupport.broker.metadata import active_controller, ask
from labsupport.broker.process import Process, tail, write_atomically
from labsupport.broker.processes import java_marks
from labsupport.broker.server_properties import Access, server_properties
from labsupport.connection import PLAIN, Connection
from labsupport.errors import LabError, NotKafkaError
from labsupport.interrupts import interrupts_wait
from labsupport.ports import HOST, free_ports
from labsupport.waiting import until

START_TIMEOUT = 90.0  # seconds; it takes 1 to 4, and up to 30 on a busy machine


def known_brokers(port: int, cluster: str = "", connection: Connection = PLAIN) -> set[int]:
    """Return the ids of the brokers that the one on `port` knows; empty while it does not answer.

    If `cluster` is given, brokers of another cluster do not count: two labs that start at the same moment can choose
    the same port, and the loser must not take the other's broker for its own.
    """
    try:
        answer = ask(HOST, port, 1.0, connection)
    except (OSError, NotKafkaError):
        return set()
    return set(answer.brokers) if cluster in ("", answer.cluster_id) else set()


def recorded_cluster(folder: Path) -> tuple[str, dict[int, tuple[int, int]]]:
    """Return the id of the cluster in `folder` and the ports of its nodes.

    Without a valid record there are no ports, and the id is that of the storage, if any: brokers keep it.
    """
    try:
        record = json.loads((folder / "cluster.json").read_text(encoding="utf-8"))
        ports = {
            int(number): (int(client), int(controller)) for number, (client, controller) in record["ports"].items()
        }
        return stored_id(folder) or str(record["id"]), ports
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return stored_id(folder) or new_id(), {}


def stored_id(folder: Path) -> str:
    """Return the id of the cluster whose first broker has its storage in `folder`; empty if there is none."""
    try:
        lines = (folder / "1" / "data" / "meta.properties").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    return next((line.removeprefix("cluster.id=") for line in lines if line.startswith("cluster.id=")), "")


def recorded_address(folder: Path) -> str:
    """Return the address (host:port) of the first broker of the cluster in `folder`, or empty."""
    _, ports = recorded_cluster(folder)
    return f"{HOST}:{ports[1][0]}" if 1 in ports else ""


class EmbeddedBroker:
    """One node of an embedded cluster, a broker or its controller: stop, kill, pause, resume, or start it again."""

    def __init__(self, cluster: "EmbeddedCluster", number: int):
        self.cluster, self.number = cluster, number
        self.folder = cluster.folder / str(number)
        self._process: Process | None = None

    def __repr__(self) -> str:
        return f"<{self.role} {self.number} at {HOST}:{self.port}, {self.state}>"

    @property
    def role(self) -> str:
        """What it is: broker (perhaps with a vote in the quorum of controllers), or controller only."""
        return "controller" if self is self.cluster.controller else "broker"

    @property
    def port(self) -> int:
        """The port for clients; of a controller, the one for brokers."""
        client, controller = self.cluster.ports[self.number]
        return client or controller

    @property
    def process(self) -> Process | None:
        """Its process if it runs, whichever program started it. Without a record of its port it does not count."""
        if self.number not in self.cluster.ports:
            return None
        if self._process is None or not self._process.alive:
            self._process = Process.recorded(self.folder / "process.json")
        return self._process

    @property
    def state(self) -> str:
        """running, paused or stopped."""
        process = self.process
        if process is None:
            return "stopped"
        return "paused" if process.paused else "running"

    def answers(self, wanted: set[int]) -> bool:
        """Return whether it answers a client and lists the brokers `wanted`; a controller, whether it leads."""
        if self.role == "broker":
            return wanted <= known_brokers(self.port, self.cluster.id, self.cluster.connection)
        with contextlib.suppress(OSError, NotKafkaError):
            return active_controller(HOST, self.port, 1.0, self.cluster.connection) == self.number
        return False

    def start(self) -> None:
        """Start it and wait until it answers and the cluster lists it. Harmless if it runs.

        Raises LabError with the end of the log if it does not start, and at once if too few controllers run.
        """
        self.resume()
        if self.process is None:
            self.cluster.require_quorum(self)
            self.spawn()
        self.cluster.wait_until_ready([self])

    def stop(self) -> None:
        """Shut it down cleanly, as an operator does (SIGTERM); after 15 s kill it."""
        if process := self.process:
            process.stop(15)
            self._forget_temporary()

    def kill(self) -> None:
        """Kill it, as a power cut does (SIGKILL)."""
        if process := self.process:
            process.kill()
            self._forget_temporary()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, and nothing answers."""
        if process := self.process:
            process.pause()

    def resume(self) -> None:
        """Resume it after `pause`. Harmless if it is not paused."""
        if process := self.process:
            process.resume()

    def log_tail(self, lines: int = 12) -> str:
        """Return the last lines of its log."""
        return tail(self.folder / "server.log", lines)

    def spawn(self, training: Path | None = None) -> None:
        """Start its process and return at once."""
        cluster = self.cluster
        self._format()
        text = server_properties(self.number, cluster.ports, cluster.overrides, cluster.access)
        write_atomically(self.folder / "server.properties", text, 0o600 if cluster.access else 0o666)
        shutil.copyfile(LOGGING, self.folder / "log4j2.properties")
        self._forget_temporary()
        (self.folder / TEMPORARY).mkdir()
        log = self.folder / "server.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        command = cluster.runtime.command(marks=java_marks(cluster.runtime.settings, cluster.role), training=training)
        with interrupts_wait():
            self._process = Process.start(f"{self.role} {self.number}", command, log, cwd=self.folder, env=ENVIRONMENT)
            self._process.record(self.folder / "process.json")

    def _forget_temporary(self) -> None:
        shutil.rmtree(self.folder / TEMPORARY, ignore_errors=True)

    def _format(self) -> None:
        """Give new storage its ids and the feature levels, as Kafka's own format command does."""
        data = self.folder / "data"
        if not (data / "meta.properties").exists():
            data.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.cluster.runtime.template, data / "bootstrap.checkpoint")
            ids = f"version=1\nnode.id={self.number}\ncluster.id={self.cluster.id}\ndirectory.id={new_id()}\n"
            write_atomically(data / "meta.properties", ids)


class EmbeddedCluster:
    """`size` brokers in one folder, each a controller too; or with one more node for that. Nothing runs until `start`.

    `controller` is that node, if there is one; `nodes` are the brokers and it.
    """

    def __init__(
        self,
        folder: Path,
        runtime: Runtime,
        *,
        size: int = 1,
        controller: bool = False,
        role: str = "private",
        ports: Sequence[int] = (),
        overrides: dict[str, str] | None = None,
        access: Access | None = None,
    ):
        """`controller`: with a node of its own for it; a cluster that is in the folder already stays as it is.

        `ports`: preferred client ports. `overrides`: broker settings that replace the lab's own. `access`: who may
        use the brokers, if not everybody on this machine.
        """
        self.folder, self.runtime, self.role = folder, runtime, role
        self.preferred_ports, self.overrides, self.access = tuple(ports), dict(overrides or {}), access
        self.id, self.ports = recorded_cluster(folder)
        if self.ports:
            size = sum(client > 0 for client, _ in self.ports.values())
            controller = size < len(self.ports)
        self.brokers = [EmbeddedBroker(self, number) for number in range(1, size + 1)]
        self.controller = EmbeddedBroker(self, size + 1) if controller else None
        self.nodes = [*([self.controller] if self.controller else []), *self.brokers]  # brokers wait for it

    @property
    def bootstrap(self) -> str:
        """The brokers' addresses, as clients take them: host:port[,host:port]."""
        return ",".join(f"{HOST}:{broker.port}" for broker in self.brokers)

    @property
    def connection(self) -> Connection:
        """How to connect to the brokers."""
        if not self.access:
            return Connection(self.bootstrap)
        return Connection(self.bootstrap, "SASL_PLAINTEXT", "PLAIN", self.access.owner, self.access.password)

    def begin(self) -> None:
        """Start the processes of all brokers and return at once; `start` then waits for what is left."""
        self._choose_ports()
        try:
            for node in self.nodes:
                node.spawn()
        except BaseException:
            self.kill()
            raise

    def start(self, training: Path | None = None) -> None:
        """Start all nodes and wait until each answers and each broker lists all others. Harmless if they run.

        Raises LabError with the end of the log if one does not start.
        """
        for attempt in (1, 2, 3):
            ours: list[EmbeddedBroker] = []
            try:
                if not any(node.process for node in self.nodes):
                    self._choose_ports()
                for node in self.nodes:
                    node.resume()
                    if node.process is None:
                        ours.append(node)
                        node.spawn(training)
                self.wait_until_ready(self.nodes)
                return
            except LabError:
                for node in ours:
                    node.kill()
                # Another program may have taken a port since we chose it: choose again. A broker that ends writes
                # more after that line, so the line may not be among the error's last ones.
                if attempt == 3 or not any("Address already in use" in node.log_tail(200) for node in ours):
                    raise
            except BaseException:  # Ctrl-C, or a full disk: leave no half-started broker behind
                for node in ours:
                    node.kill()
                raise

    def stop(self) -> None:
        """Shut all brokers down cleanly, and then their controller, which they need for it; their storage stays."""
        with ThreadPoolExecutor(len(self.brokers)) as pool:
            list(pool.map(EmbeddedBroker.stop, self.brokers))
        if self.controller:
            self.controller.stop()

    def kill(self) -> None:
        """Kill all nodes; their storage stays."""
        for node in self.nodes:
            node.kill()

    def destroy(self) -> None:
        """Kill all nodes and delete their storage."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def require_quorum(self, node: EmbeddedBroker) -> None:
        """Raise LabError if a majority of the controllers would not run, even with `node`: no broker could register."""
        voters = [each for each in self.nodes if self.ports.get(each.number, (0, 0))[1]]
        running = [each for each in voters if each is node or each.state == "running"]
        if 2 * len(running) <= len(voters):
            raise LabError(
                f"{node.role.capitalize()} {node.number} cannot come back now: a broker registers with the controller.",
                f"controllers that would run: {len(running)} of {len(voters)}; it takes a majority",
                "start the controller first" if self.controller else "start them all: kafka.embedded.start()",
            )

    def wait_until_ready(self, nodes: Sequence[EmbeddedBroker], timeout: float = START_TIMEOUT) -> None:
        """Wait until each broker in `nodes` answers a client and lists them all, and until a controller leads.

        Raises LabError with the end of its log as soon as one has ended, or after `timeout` seconds.
        """
        wanted = {node.number for node in nodes if node.role == "broker"}
        silent = list(nodes)

        def ready_or_dead() -> bool:
            # Each time all of them: one that listed a broker before that was fenced may not list it again yet.
            silent[:] = [node for node in nodes if not node.answers(wanted)]
            return not silent or any(node.process is None for node in silent)

        what = f"{len(wanted)} brokers to answer" if len(wanted) > 1 else "Kafka to answer"
        with contextlib.suppress(LabError):
            until(ready_or_dead, timeout, what)
        for node in sorted(silent, key=lambda node: node.process is not None):  # the one that ended is the cause
            ended = node.process is None
            seen, next_step = java_ended.cause(node.log_tail(300)) if ended else ("", "")
            how = "did not start" if ended else f"did not answer within {timeout:g} s"
            raise LabError(
                f"{node.role.capitalize()} {node.number} {how}.",
                seen or node.log_tail(),
                (
                    next_step
                    or "try again: python3 lab.py down, then up; if that fails, start over with an empty broker:\n"
                    "python3 lab.py wipe  (your notebooks stay)"
                )
                + f"\nthe whole log: {node.folder / 'server.log'}",
            )

    def _choose_ports(self) -> None:
        """Choose a port for each role of each node. Earlier client ports are preferred to other free ones."""
        clients = [node.number for node in self.brokers]
        controllers = [self.controller.number] if self.controller else clients
        needed, before = len(clients) + len(controllers), [client for client, _ in self.ports.values() if client]
        chosen = free_ports(needed, [*self.preferred_ports, *before])
        for_clients = dict(zip(clients, chosen[: len(clients)], strict=True))
        for_brokers = dict(zip(controllers, chosen[len(clients) :], strict=True))
        numbers = [node.number for node in self.nodes]
        self.ports = {number: (for_clients.get(number, 0), for_brokers.get(number, 0)) for number in numbers}
        write_atomically(self.folder / "cluster.json", json.dumps({"id": self.id, "ports": self.ports}))
        own_access.record(self.folder, self.connection)
