"""The lab's own broker in the background: one per checkout, shared by all notebooks and the command line.

Its folder is `.lab/broker`. The first program that needs it starts it; the others find it there. Brokers that a program
started for itself are in `.lab/private`.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

from labsupport.broker import own_access, owners, processes, startup_cache
from labsupport.broker.embedded import EmbeddedCluster, recorded_address
from labsupport.broker.identity import started
from labsupport.broker.java_runtime import Runtime, prepare
from labsupport.broker.process import Process
from labsupport.console import counted
from labsupport.errors import LabError
from labsupport.files import storing
from labsupport.settings import Settings
from labsupport.waiting import only_one

KAFKA_PORT = 9092
SPARE_NEEDS = 1_000_000_000  # bytes of free memory; a broker takes 150 to 370 MB
NODE_NEEDS = 200_000_000  # bytes of free memory for each node of a private cluster; idle it takes 150 MB


def ensure(settings: Settings, *, keep: bool = False) -> tuple[EmbeddedCluster, bool]:
    """Return the background broker, up and answering, and whether this call started it.

    If several programs call this at once, one broker starts. A frozen one is resumed; a killed one starts again on its
    data. It ends with the last program that called this; with `keep` it stays until `down`, whichever program started
    it; under JupyterHub until the user's server ends. Raises LabError with the end of the log if it does not start.
    """
    runtime = prepare(settings)
    lock = processes.broker_lock(settings)
    with storing(settings.home, "LAB_HOME"), only_one(lock, "starting or stopping the broker", timeout=180):
        processes.register(settings, uses=True)
        folder = settings.home / "broker"
        access = own_access.recorded(folder)
        cluster = EmbeddedCluster(folder, runtime, role="background", ports=[KAFKA_PORT], access=access)
        process = cluster.brokers[0].process
        was_up = process is not None and not process.paused
        # One that runs unrecorded (its starter was killed at the wrong moment, or .lab was deleted) locks the data.
        ours = process.pid if process else None
        strays = [each for each in processes.running(settings, ["background"]) if each.process.pid != ours]
        processes.stop(strays)
        if process is None:
            owners.keep_mark(settings.home).unlink(missing_ok=True)
        elif not access and own_access.wanted(settings):  # it was started for one person, and now there are others
            cluster.stop()
            process, was_up = None, False
        if process is None:
            cluster.access = own_access.new(settings)
        cluster.start()
        if keep:
            owners.keep_mark(settings.home).write_text(processes.hub_server(), encoding="utf-8")
    if not was_up:
        startup_cache.start_in_background(runtime)
    return cluster, not was_up


def address(settings: Settings) -> str:
    """Return the address (host:port) of the background broker if it runs, else empty; start and fetch nothing."""
    folder = settings.home / "broker"
    return recorded_address(folder) if Process.recorded(folder / "1" / "process.json") else ""


def release(settings: Settings) -> None:
    """Stop using the background broker. It ends, unless another program uses it or `up` asked to keep it."""
    with _alone(settings):
        processes.register(settings, uses=False)
        if not owners.used(settings.home):
            _stop(settings, [*processes.SHARED, "training-broker"])


def stop_all(settings: Settings, roles: Iterable[str] = processes.ROLES) -> list[processes.Running]:
    """Stop this lab's processes in these roles, and return those that ran."""
    with _alone(settings):
        stopped = _stop(settings, roles)
    if roles is processes.ROLES:  # nothing of this program runs there any more
        processes.unregister(settings)
    return stopped


def wipe(settings: Settings) -> None:
    """Stop every broker of this lab and delete its data."""
    with _alone(settings), storing(settings.home, "LAB_HOME"):
        _stop(settings, [role for role in processes.ROLES if role not in ("jupyter", processes.CLASS)])
        for folder in data_folders(settings):
            if folder.exists():
                shutil.rmtree(folder)


def data_folders(settings: Settings) -> list[Path]:
    """Return the folders where brokers keep their data."""
    return [settings.home / "broker", settings.home / "private"]


def private(
    settings: Settings, size: int = 1, overrides: dict[str, str] | None = None, *, controller: bool = False
) -> EmbeddedCluster:
    """Start `size` brokers for the caller alone, and return them when they answer; the caller calls `destroy()`.

    They are destroyed at the latest when this program ends. With `controller`, it is a process of its own; otherwise
    each broker is one too. `overrides` are broker settings. Raises LabError, before it starts anything, if there is not
    enough memory.
    """
    if not isinstance(size, int) or not 1 <= size <= 5:
        raise LabError(f"A cluster of {size!r} brokers cannot be started.", "", "1 to 5 brokers: private(3)")
    if size == 1 and not overrides and not controller and (spare := _taken_spare(settings)):
        return spare
    _require_memory(size + controller)
    runtime = prepare(settings)
    options = {"size": size, "controller": controller, "overrides": overrides}
    with storing(settings.home, "LAB_HOME"), _ours(runtime, **options) as cluster:
        cluster.start()
    return cluster


def _require_memory(nodes: int) -> None:
    """Raise LabError if so many Java processes would fill the memory; the system would kill one of them later."""
    free = psutil.virtual_memory().available
    if free < nodes * NODE_NEEDS:
        raise LabError(
            f"Not enough memory for {counted(nodes, 'Java process', 'Java processes')} of Kafka.",
            f"free: {free // 1_000_000:,} MB; needed: {nodes * NODE_NEEDS // 1_000_000:,} MB",
            "close other programs and kernels (Kernel, Shut Down All), then try again",
        )


@contextlib.contextmanager
def _ours(runtime: Runtime, **options: Any) -> Iterator[EmbeddedCluster]:
    """A cluster for this program alone: destroyed when it ends, or by an error in the body of the `with`."""
    own = {"access": own_access.new(runtime.settings)} | options
    cluster = EmbeddedCluster(own_folder(runtime.settings), runtime, **own)
    atexit.register(cluster.destroy)
    try:
        yield cluster
    except BaseException:
        cluster.destroy()
        raise


_spares: list[EmbeddedCluster] = []  # at most one


def start_spare(settings: Settings) -> None:
    """Start a private broker ahead, for the next call of `private`, and return at once. Harmless if there is one.

    It ends with this program, or with `end_spare`. Not if little memory is free, and an error waits for that call.
    """
    if _spares or psutil.virtual_memory().available < SPARE_NEEDS:
        return
    with contextlib.suppress(LabError, OSError), _ours(prepare(settings)) as cluster:
        cluster.begin()
        _spares.append(cluster)


def end_spare() -> None:
    """End the broker that was started ahead, if there is one."""
    while _spares:
        _spares.pop().destroy()


def _taken_spare(settings: Settings) -> EmbeddedCluster | None:
    """Return the broker that was started ahead, when it answers; None if there is none in this home, or it fails."""
    if not _spares:
        return None
    spare = _spares.pop()
    if spare.runtime.settings.home == settings.home and spare.brokers[0].process:
        with contextlib.suppress(LabError):
            spare.start()
            return spare
    spare.destroy()
    return None


def own_folder(settings: Settings) -> Path:
    """Make a folder for this program; if it is killed before it deletes the folder, `processes.sweep` does."""
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
    # A process may have started another while it was being stopped.
    processes.stop(processes.running(settings, roles))
    return those


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Lock starting the broker; but go on after 30 s, because stopping must work even if the holder hangs."""
    with contextlib.ExitStack() as stack:
        if settings.home.exists():
            with contextlib.suppress(LabError, OSError):
                lock = processes.broker_lock(settings)
                stack.enter_context(only_one(lock, "starting or stopping the broker", timeout=30))
        yield
