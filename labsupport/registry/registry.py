"""A schema registry as the lab uses it: a process of the lab's own, or the one that LAB_REGISTRY names."""

import base64
import contextlib
import http.client
import json
import shutil
import ssl
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from labsupport.broker import background, processes
from labsupport.broker.metadata import in_use
from labsupport.broker.process import Process
from labsupport.errors import LabError, RegistryError
from labsupport.files import storing
from labsupport.interrupts import interrupts_wait
from labsupport.settings import Settings
from labsupport.waiting import only_one, until

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

STANDARD_PORT = 8081
SECONDS = 15.0  # for an answer: a write may take ten


@dataclass
class Registry:
    """A registry at `url`, which has neither user nor password in it. `ca`: a file with the certificates to trust."""

    url: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    ca: str = ""

    @classmethod
    def named(cls, settings: Settings) -> "Registry":
        """The registry of LAB_REGISTRY, when it has answered. Raises LabError if it does not, or is none."""
        split = urlsplit(settings.registry)
        host = f"{split.hostname}:{split.port}" if split.port else str(split.hostname)
        url = f"{split.scheme}://{host}{split.path}".rstrip("/")
        found = cls(url, unquote(split.username or ""), unquote(split.password or ""), settings.registry_ca)
        found.reach()
        return found

    def client(self, **settings: Any) -> "SchemaRegistryClient":
        """Confluent's client for this registry; `settings` have `_` for `.`."""
        from confluent_kafka.schema_registry import SchemaRegistryClient

        access = {"basic.auth.user.info": f"{self.user}:{self.password}"} if self.user else {}
        trust = {"ssl.ca.location": self.ca} if self.ca else {}
        more = {name.replace("_", "."): value for name, value in settings.items()}
        # By default it waits for an answer for ever; after a time-out it asks again.
        return SchemaRegistryClient({"url": self.url, "timeout": SECONDS, **access, **trust, **more})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the registry's answer as plain values. Raises RegistryError if it refuses, OSError if it is away."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        request.add_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        if self.user:
            pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {pair}")
        trusted = ssl.create_default_context(cafile=self.ca or None) if self.url.startswith("https") else None
        # Without the system's proxies, which do not know this machine's loopback address.
        here = urlsplit(self.url).hostname in ("127.0.0.1", "localhost")
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})] if here else []
        if trusted:
            handlers.append(urllib.request.HTTPSHandler(context=trusted))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=SECONDS) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise _refusal(error) from error

    def reach(self) -> None:
        """Return when the registry has listed its subjects. Raises LabError if it is away, or no registry."""
        try:
            subjects = self.ask("GET", "/subjects")
        except RegistryError as error:
            why = "user or password is wrong" if error.status in (401, 403) else f"HTTP {error.status}: {error}"
            raise self._unfit(why) from error
        except (ValueError, http.client.HTTPException) as error:
            raise self._unfit("what answers there is no schema registry") from error
        except OSError as error:
            raise self._unfit(str(getattr(error, "reason", error))) from error
        if not isinstance(subjects, list):
            raise self._unfit("what answers there is no schema registry")

    def clear(self, namespace: str) -> None:
        """Delete the subjects that begin with `namespace`, for good. Raises LabError if the registry refuses."""
        try:
            living = self.ask("GET", "/subjects")
            for name in self.ask("GET", "/subjects?deleted=true"):
                if name.startswith(namespace):
                    path = f"/subjects/{quote(name, safe='')}"
                    if name in living:
                        self.ask("DELETE", path)
                    self.ask("DELETE", f"{path}?permanent=true")
        except RegistryError as error:
            raise self._unfit(f"it does not delete {namespace}…: {error}") from error

    def kill(self) -> None:
        """Only a registry of the lab's own can be killed."""
        raise LabError(
            "This experiment kills the registry.",
            f"the lab did not start the one at {self.url}, and others may be using it",
            "unset LAB_REGISTRY, and restart the kernel",
        )

    start = kill

    def close(self) -> None:
        """Nothing to close."""

    def _unfit(self, why: str) -> LabError:
        return LabError(
            f"The schema registry at {self.url} (LAB_REGISTRY) cannot be used.",
            why,
            "set LAB_REGISTRY to another one's URL, or unset it: the lab has a registry of its own",
        )


def _refusal(error: urllib.error.HTTPError) -> RegistryError:
    """Read what a registry refuses with; any other server's page becomes its first line."""
    text = error.read().decode("utf-8", "replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        said = json.loads(text)
        return RegistryError(error.code, int(said["error_code"]), str(said["message"]))
    return RegistryError(error.code, error.code, text.strip().partition("\n")[0][:200] or error.reason)


class OwnRegistry(Registry):
    """A process of the lab's. It keeps everything in `topic`, so it can be killed and started again."""

    def __init__(self, settings: Settings, kafka: str, topic: str, folder: Path, role: str, port: int = 0):
        """`kafka` is host:port[,host:port]; `role` one of processes.ROLES; port 0 is any free one, once it runs."""
        super().__init__("")
        self.settings, self.kafka, self.topic, self.role, self.port = settings, kafka, topic, role, port
        self.folder = folder

    @property
    def process(self) -> Process | None:
        """The process, if it runs."""
        return Process.recorded(self.folder / "process.json")

    def start(self) -> None:
        """Start the process unless it runs; return when it answers. A frozen one is resumed.

        Raises LabError with the end of its log.
        """
        process = self.process or self._begin()
        process.resume()

        def answers() -> bool:
            if not process.alive:
                raise LabError("The schema registry did not start.", process.tail(), "mend that, and try again")
            if self.url or self.read_url():
                with contextlib.suppress(OSError):
                    return isinstance(self.ask("GET", "/subjects"), list)
            return False

        try:
            until(answers, 60, "the schema registry to answer")
        except BaseException:
            process.kill()
            raise

    def _begin(self) -> Process:
        words = ["-P", "-m", "labsupport.registry", self.kafka, self.topic, str(self.port)]
        command = [sys.executable, *processes.python_marks(self.settings, self.role), *words]
        self.url, log = "", self.folder / "registry.log"
        with storing(self.folder, "LAB_HOME"), interrupts_wait():
            self.folder.mkdir(parents=True, exist_ok=True)
            log.unlink(missing_ok=True)
            process = Process.start("the schema registry", command, log, cwd=self.folder)
            process.record(self.folder / "process.json")
        return process

    def kill(self) -> None:
        """Kill the process as a power cut would (SIGKILL). Harmless if it does not run."""
        if process := self.process:
            process.kill()

    def close(self) -> None:
        """End it for good, and delete its folder. Its topic stays."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def read_url(self) -> bool:
        """Learn where the process listens, which it prints first; returns whether it has done so."""
        with contextlib.suppress(OSError):
            line, ended, _ = (self.folder / "registry.log").read_text(encoding="utf-8").partition("\n")
            if ended and line.startswith("http://"):
                self.url, self.port = line, int(line.rpartition(":")[2])
        return bool(self.url)


def start(settings: Settings, kafka: str, topic: str) -> OwnRegistry:
    """Start a registry for this program, on a free port. It ends with the program, or by `close`."""
    registry = OwnRegistry(settings, kafka, topic, background.own_folder(settings), "private-registry")
    registry.start()
    return registry


def ensure(settings: Settings, kafka: str) -> OwnRegistry:
    """Return this checkout's registry, which other programs use: up and answering. It stays until `down`.

    Its port is 8081, or a free one if that is taken; its topic `_schemas`, as Confluent's, with the learner's prefix on
    a Kafka that is not the lab's. Raises LabError if it does not start.
    """
    folder = settings.home / "registry"
    with storing(settings.home, "LAB_HOME"), only_one(folder / "lock", "starting the schema registry", timeout=120):
        registry = OwnRegistry(settings, kafka, f"{settings.prefix}_schemas", folder, "registry", standard_port())
        registry.start()
    return registry


def running_at(settings: Settings) -> str:
    """Return the URL of this checkout's registry if its process runs, else empty; start nothing."""
    registry = OwnRegistry(settings, "", "", settings.home / "registry", "registry")
    return registry.url if registry.process and registry.read_url() else ""


def standard_port() -> int:
    """Return 8081, or 0 (any free port) if something listens there."""
    return 0 if in_use(STANDARD_PORT) else STANDARD_PORT
