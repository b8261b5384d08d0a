"""Apicurio Registry: Confluent's interface by somebody else, as a process of the lab. Fetched only when asked for.

It shows that a registry is replaceable, and that the lab's own answers as others do. It keeps everything in memory.
"""

import contextlib
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from labsupport.broker import background, jars
from labsupport.broker.jars import Jar
from labsupport.broker.java_runtime import ENVIRONMENT, JAVA, JVM_FLAGS, TEMPORARY
from labsupport.broker.process import Process
from labsupport.broker.processes import java_marks
from labsupport.errors import LabError
from labsupport.files import storing
from labsupport.interrupts import interrupts_wait
from labsupport.registry.registry import Registry
from labsupport.settings import Settings
from labsupport.waiting import until

VERSION = "3.3.3"
ARCHIVE = Jar(
    "io.apicurio",
    "apicurio-registry-app",
    VERSION,
    158_577_952,
    "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63",
    classifier="all",
    packaging="tar.gz",
)
UNPACKED = 180_000_000  # bytes
SETTINGS = {"APICURIO_RULES_GLOBAL_COMPATIBILITY": "BACKWARD"}  # as Confluent's; its own default is NONE
INTERFACE = "/apis/ccompat/v7"  # where Confluent's interface is


def archive(settings: Settings) -> Path:
    """Return the verified archive in the user's cache; fetch it if it is missing or altered.

    Raises LabError if the disk has no room for it, or it cannot be fetched.
    """
    folder = _folder(settings)
    if jars.missing([ARCHIVE], folder):
        _require_room(settings.cache, ARCHIVE.size, "LAB_CACHE")
    return jars.provide("Apicurio Registry", [ARCHIVE], folder, settings)[0]


def fetched(settings: Settings) -> bool:
    """Whether the archive is in the cache."""
    return not jars.missing([ARCHIVE], _folder(settings))


def _folder(settings: Settings) -> Path:
    return settings.cache / f"apicurio-{ARCHIVE.sha256[:12]}"


@contextlib.contextmanager
def running(settings: Settings, port: int = 0) -> Iterator[tuple[Registry, Process]]:
    """Run it on this machine's loopback address for the body of a `with`, when it answers; port 0 is any free one.

    It has nothing in it, and the level that Confluent's registry begins with. It ends with this program at the latest.
    Raises LabError with the end of its log if it does not start.
    """
    packed = archive(settings)
    folder = background.own_folder(settings)
    try:
        _require_room(settings.home, UNPACKED, "LAB_HOME")
        # Unpacked at each start (1 s): so what runs is what was verified.
        with storing(settings.home, "LAB_HOME"), tarfile.open(packed) as files:
            if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and later; the archive is the pinned one anyway
                files.extraction_filter = tarfile.data_filter
            files.extractall(folder)
            (folder / TEMPORARY).mkdir()
        with interrupts_wait():
            process = Process.start(
                "Apicurio Registry",
                _command(settings, port),
                folder / "registry.log",
                cwd=folder,
                env=ENVIRONMENT | SETTINGS,
            )
        try:
            yield Registry(until(lambda: _url(process), 120, "Apicurio Registry to answer") + INTERFACE), process
        finally:
            process.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _command(settings: Settings, port: int) -> list[str]:
    listens = [f"-Dquarkus.{each}.host=127.0.0.1" for each in ("http", "management")]
    listens += [f"-Dquarkus.http.port={port}", "-Dquarkus.management.port=0"]
    marks = java_marks(settings, "private-registry")
    return [str(JAVA), *JVM_FLAGS, f"-Djava.io.tmpdir={TEMPORARY}", *marks, *listens, "-jar", "quarkus-run.jar"]


def _url(process: Process) -> str:
    """Where it listens, from its log; empty before. Raises LabError if it has ended."""
    if not process.alive:
        raise LabError(
            "Apicurio Registry did not start.", process.tail(6), "is the port taken? Give another one: --port 8099"
        )
    found = re.search(r"Listening on: (http://[\d.]+:\d+)", process.log.read_text("utf-8", "replace"))
    return found[1] if found else ""


def _require_room(folder: Path, size: int, variable: str) -> None:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if (free := shutil.disk_usage(there).free) < size:
        raise LabError(
            "There is no room for Apicurio Registry.",
            f"it needs {size >> 20} MB in {folder}, where {free >> 20} MB are free",
            f"free some space, or set {variable} to a folder on another disk",
        )
