"""The lab's own broker in the background: one per checkout, shared by all notebooks and the command line.

It lives in `.lab/broker`. Whoever needs it first starts it; everybody else finds it there. Beside it, in
`.lab/private`, live the brokers that one program started for itself.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from labsupport.broker import owners, processes, training
from labsupport.broker.embedded import EmbeddedCluster, recorded_address
from labsupport.broker.identity import started
from labsupport.broker.process import Process
from labsupport.broker.runtime import prepare
from labsupport.errors import LabError
from labsupport.files import storing
from labsupport.settings import Settings
from labsupport.waiting import only_one

KAFKA_PORT = 9092


def ensure(settings: Settings, *, keep: bool = False) -> tuple[EmbeddedCluster, bool]:
    """The background broker, up and answering, and whether this call started it.

    However many programs call this at once, one broker is started. A frozen one is woken; one that was killed is
    started again on its data. It ends with the last program that called this; with `keep` it stays until it is stopped
    on purpose, whoever started it. Raises LabError with the end of the log if that fails.
    """
    runtime = prepare(settings)
    lock = processes.broker_lock(settings)
    with storing(settings.home, "LAB_HOME"), only_one(lock, "starting or stopping the broker", timeout=180):
        processes.register(settings, uses=True)
        cluster = EmbeddedCluster(settings.home / "broker", runtime, role="background", ports=[KAFKA_PORT])
        process = cluster.brokers[0].process
        was_up = process is not None and not process.paused
        # One that runs unrecorded (its starter was killed at the wrong moment, or .lab was deleted) holds the data.
        ours = process.pid if process else None
        strays = [each for each in processes.running(settings, ["background"]) if each.process.pid != ours]
        processes.stop(strays)
        if process is None:
            owners.keep_mark(settings.home).unlink(missing_ok=True)
        cluster.start()
        if keep:
            owners.keep_mark(settings.home).touch()
    if not was_up:
        training.start_in_background(runtime)
    return cluster, not was_up


def address(settings: Settings) -> str:
    """The address (host:port) of the background broker if its process runs, else empty; starts and fetches nothing."""
    folder = settings.home / "broker"
    return recorded_address(folder) if Process.recorded(folder / "1" / "process.json") else ""


def release(settings: Settings) -> None:
    """Stop the background broker, which this program needs no more, unless another uses it or `up` asked to keep it."""
    with _alone(settings):
        processes.register(settings, uses=False)
        if not owners.used(settings.home):
            _stop(settings, [*processes.SHARED, "training-broker"])


def stop_all(settings: Settings, roles: Iterable[str] = processes.ROLES) -> list[processes.Running]:
    """Stop this lab's processes in these roles, and return those that ran."""
    with _alone(settings):
        stopped = _stop(settings, roles)
    if roles is processes.ROLES:  # then nothing of this program's runs there either
        processes.unregister(settings)
    return stopped


def wipe(settings: Settings) -> None:
    """Stop every broker of this lab and delete its data."""
    with _alone(settings), storing(settings.home, "LAB_HOME"):
        _stop(settings, [role for role in processes.ROLES if role != "jupyter"])
        for folder in data_folders(settings):
            if folder.exists():
                shutil.rmtree(folder)


def data_folders(settings: Settings) -> list[Path]:
    """Where brokers keep their data."""
    return [settings.home / "broker", settings.home / "private"]


def private(settings: Settings, size: int = 1, overrides: dict[str, str] | None = None) -> EmbeddedCluster:
    """`size` brokers of the caller's own, started and answering; the caller calls `destroy()`.

    They are destroyed at the latest when this program ends. `overrides` are broker settings.
    """
    if not isinstance(size, int) or not 1 <= size <= 5:
        raise LabError(f"A cluster of {size!r} brokers cannot be started.", "", "1 to 5 brokers: private(3)")
    runtime = prepare(settings)
    with storing(settings.home, "LAB_HOME"):
        cluster = EmbeddedCluster(own_folder(settings), runtime, size=size, overrides=overrides)
        atexit.register(cluster.destroy)
        try:
            cluster.start()
        except BaseException:
            cluster.destroy()
            raise
    return cluster


def own_folder(settings: Settings) -> Path:
    """A new folder of this program's; if it is killed before it deletes the folder, `processes.sweep` does."""
    home = settings.home / "private"
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=home, prefix=f"{os.getpid()}-"))
    me = Process("owner", os.getpid(), started(os.getpid()) or "", folder / "owner.log")
    me.record(folder / "owner.json")
    return folder


def _stop(settings: Settings, roles: Iterable[str]) -> list[processes.Running]:
    those = processes.running(settings, roles)
    processes.stop(those)
    owners.keep_mark(settings.home).unlink(missing_ok=True)
    # What a stopped process started in its last moment.
    processes.stop(processes.running(settings, roles))
    return those


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """While nobody starts the broker; but stopping must work also where the one who holds the lock hangs."""
    with contextlib.ExitStack() as stack:
        if settings.home.exists():
            with contextlib.suppress(LabError, OSError):
                lock = processes.broker_lock(settings)
                stack.enter_context(only_one(lock, "starting or stopping the broker", timeout=30))
        yield
