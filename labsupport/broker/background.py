"""The lab's own broker in the background: one per checkout, shared by all notebooks and the command line.

It lives in `.lab/broker`. Whoever needs it first starts it; everybody else finds it there.
"""

import atexit
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from labsupport.base import Settings, only_one, storing
from labsupport.broker import training
from labsupport.broker.embedded import EmbeddedCluster
from labsupport.broker.process import Process, marks, started
from labsupport.broker.runtime import Runtime, prepare

KAFKA_PORT = 9092

_numbers = itertools.count(1)


def ensure(settings: Settings) -> tuple[EmbeddedCluster, bool]:
    """The background broker, up and answering, and whether this call started it.

    However many programs call this at once, one broker is started. A frozen one is woken; one that was killed is
    started again on its data. Raises LabError with the end of the log if that fails.
    """
    runtime = prepare(settings)
    lock = settings.home / "broker.lock"
    with storing(settings.home, "LAB_HOME"), only_one(lock, "starting the broker", timeout=180):
        cluster = EmbeddedCluster(settings.home / "broker", runtime, role="background", ports=[KAFKA_PORT])
        process = cluster.brokers[0].process
        was_up = process is not None and not process.paused
        # One that runs unrecorded (its starter was killed at the wrong moment, or .lab was deleted) holds the data.
        ours = process.pid if process else None
        stop([each for each in running(settings) if each.role == "background" and each.process.pid != ours])
        cluster.start()
    if not was_up:
        training.start_in_background(runtime)
    return cluster, not was_up


def find(settings: Settings) -> EmbeddedCluster | None:
    """The background broker if its process runs, without starting or fetching anything."""
    runtime = Runtime(settings, class_path=(), template=settings.cache)
    cluster = EmbeddedCluster(settings.home / "broker", runtime, role="background")
    return cluster if cluster.ports and cluster.brokers[0].process else None


def private(settings: Settings, size: int = 1, overrides: dict[str, str] | None = None) -> EmbeddedCluster:
    """`size` brokers of the caller's own, started and answering; the caller calls `destroy()`.

    They are destroyed at the latest when this program ends. `overrides` are broker settings.
    """
    folder = settings.home / "private" / f"{os.getpid()}-{next(_numbers)}"
    cluster = EmbeddedCluster(folder, prepare(settings), size=size, overrides=overrides)
    atexit.register(cluster.destroy)
    with storing(settings.home, "LAB_HOME"):
        cluster.start()
    return cluster


@dataclass(frozen=True)
class Running:
    """A process of this lab: `role` is background, private, training or jupyter; `owner` the pid that started it."""

    process: Process
    role: str
    owner: int

    @property
    def orphan(self) -> bool:
        """Whether it outlived the program it was meant for."""
        return self.role == "private" and started(self.owner) is None


def running(settings: Settings) -> list[Running]:
    """Every process of this lab on this machine, found by the marks on its command line.

    This does not depend on any file: a process whose folder was deleted, or whose starter was killed, is found too.
    """
    ours, _, _ = marks(settings, "")
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = [word.removeprefix("-D") for word in process.info["cmdline"] or []]
        if ours in words and (began := started(process.pid)):
            said = dict(word.split("=", 1) for word in words if word.startswith("lab."))
            role, owner = said.get("lab.role", "?"), int(said.get("lab.owner", 0))
            log = settings.home / f"{role}.log"
            found.append(Running(Process(f"{role} process", process.pid, began, log), role, owner))
    return found


def stop(those: Sequence[Running]) -> None:
    """Stop these processes, cleanly where that matters; whatever does not end is killed."""
    # The training run's Python first, so that it does not start another broker.
    for each in sorted(those, key=lambda each: each.role != "training"):
        each.process.stop(2 if each.role in ("private", "training") else 15)
