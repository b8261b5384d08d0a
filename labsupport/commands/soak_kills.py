"""For `python3 lab.py soak`: kill a program of the lab at a random moment; ten seconds later nothing may run.

Survivors are found by an environment variable that every descendant inherits, not by the lab's own marks. All files of
a trial lie in one folder, which is the temporary folder of its programs.
"""

import contextlib
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from labsupport.broker.processes import WATCHDOG, read_marks
from labsupport.console import progress
from labsupport.errors import LabError
from labsupport.settings import CHECKOUT, Settings
from labsupport.waiting import until

WITNESS = "LAB_SOAK_TRIAL"
JUPYTERLAB = "JupyterLab"
SECONDS = 10.0  # after which nothing may be left
LESSONS = ("03_producer", "05_consumer_groups", "07_crashes")  # a private broker; members; forked programs
LESSON = """
import sys, nbformat
from pathlib import Path
from labsupport.commands.notebooks import client_of, own_home
with own_home():
    client_of(nbformat.read(sys.argv[1], as_version=4), Path(sys.argv[1]).parent).execute()
"""
SUITE = ("-n", "2", "-q", "-x", "tests/kafka/test_members.py", "tests/kafka/test_forkserver.py")


@dataclass(frozen=True)
class Kind:
    """A kind of owner: the program to start, how long it runs at most (seconds), and which process is killed.

    `victim` tells by a process's command line whether to kill it; None kills the program itself.
    """

    name: str
    words: tuple[str, ...]
    seconds: float
    victim: Callable[[list[str]], bool] | None = None


def _role(role: str) -> Callable[[list[str]], bool]:
    return lambda command: read_marks(command).get("lab.role") == role


def _kernel(command: list[str]) -> bool:
    return "ipykernel_launcher" in command


def _worker(command: list[str]) -> bool:
    return any("import sys;exec(eval(sys.stdin.readline()))" in word for word in command)


def _lab(*words: str) -> tuple[str, ...]:
    return ("-m", "labsupport", *words)


def kinds() -> list[Kind]:
    """All kinds of owners, in turn."""
    lessons = itertools.cycle(("-c", LESSON, str(CHECKOUT / "notebooks" / f"{name}.ipynb")) for name in LESSONS)
    return [
        Kind("a kernel", next(lessons), 15, _kernel),
        Kind("lab.py", _lab("--no-browser"), 12),
        Kind("pytest", ("-m", "pytest", *SUITE), 25),
        Kind(JUPYTERLAB, _lab("--no-browser"), 12, _role("jupyter")),
        Kind("what runs a notebook", next(lessons), 15),
        Kind("tour", _lab("tour"), 15),
        Kind("a worker of pytest", ("-m", "pytest", *SUITE), 25, _worker),
        Kind("a member, or another program of a lesson", next(lessons), 15, _role("program")),
        Kind("crashlab", _lab("crashlab", "--seeds", "1"), 12),
        Kind("the training run", _lab("tour"), 15, _role("training")),
        Kind("bench", _lab("bench", "--runs", "1"), 15),
        Kind("soak", _lab("soak", "--only", "kills", "--kills", "1"), 20),
        Kind("up", _lab("up"), 4),
    ]


def kill(settings: Settings, kills: int, chance: random.Random) -> Iterator[tuple[str, list[str]]]:
    """`kills` times: what was killed, and the problems. `chance` decides when, and what is frozen before."""
    those = kinds()
    for number in progress("Owners", unit="kill", over=range(kills)):
        kind = those[number % len(those)]
        with _trial(settings) as trial:
            yield trial.play(kind, chance)


def descendants(word: str) -> list[psutil.Process]:
    """The processes that have, or have inherited, this word as WITNESS in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(WITNESS) == word and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@contextlib.contextmanager
def _trial(settings: Settings) -> Iterator["Trial"]:
    folder = Path(tempfile.mkdtemp(prefix="lab owners "))  # with spaces, as in some people's names
    trial = Trial(settings, folder)
    try:
        yield trial
    finally:
        for process in trial.running():
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


class Trial:
    """One owner, from its start to ten seconds after its end."""

    def __init__(self, settings: Settings, folder: Path):
        self.word, self.temporary = uuid.uuid4().hex, folder / "tmp"
        self.temporary.mkdir()
        cache = folder / "cache"  # without the start-up cache, so that a training run belongs to it
        cache.mkdir()
        for each in settings.cache.glob("*"):
            if not each.name.startswith("startup-") and each.suffix != ".lock":
                (cache / each.name).symlink_to(each)
        self.environment = {
            **os.environ, WITNESS: self.word, "LAB_HOME": str(folder / "home"), "LAB_CACHE": str(cache),
            "TMPDIR": str(self.temporary), "TEMP": str(self.temporary), "TMP": str(self.temporary),
        }  # fmt: skip

    def running(self) -> list[psutil.Process]:
        """What runs of this trial, whoever started it."""
        return descendants(self.word)

    def play(self, kind: Kind, chance: random.Random) -> tuple[str, list[str]]:
        """Start it, kill it or one of its own at a random moment, and wait; what was killed, and what was wrong."""
        program = subprocess.Popen(
            [sys.executable, *kind.words], cwd=CHECKOUT, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(chance.uniform(0, kind.seconds))  # not a synchronisation: a random moment is what is wanted
        killed = False
        if kind.victim is not None:
            with contextlib.suppress(LabError):  # there may be none until the program has ended
                until(lambda: self._kill_one(kind, chance) or program.poll() is not None, 60, kind.name, every=0.2)
                killed = program.poll() is None
            time.sleep(chance.uniform(0, 1))
        if chance.random() < 0.25:
            self._freeze_one(chance, program)
        if not (killed and kind.name == JUPYTERLAB):  # then lab.py ends by itself
            program.kill()
        problems = []
        with contextlib.suppress(LabError):
            until(lambda: program.poll() is not None and not self.running(), SECONDS, "everything to end", every=0.2)
        for process in self.running():
            with contextlib.suppress(psutil.Error):
                problems.append(f"still there: {' '.join(process.cmdline())[-300:]}")
        program.kill()
        program.wait()
        if not problems and (files := [str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*")]):
            problems.append(f"left in the temporary folder: {', '.join(files[:5])}")
        return kind.name, problems

    def _kill_one(self, kind: Kind, chance: random.Random) -> bool:
        """Kill one process that `kind.victim` names; return whether there was one."""
        if kind.victim is None:
            return False
        found = []
        for process in self.running():
            with contextlib.suppress(psutil.Error):
                if kind.victim(process.cmdline()):
                    found.append(process)
        with contextlib.suppress(psutil.Error, IndexError):
            chance.choice(found).kill()
            return True
        return False

    def _freeze_one(self, chance: random.Random, program: subprocess.Popen) -> None:
        """Freeze a running process, so that it hears no request to end; but not the watchdog, whose work this is."""
        with contextlib.suppress(psutil.Error, IndexError):
            process = chance.choice([each for each in self.running() if each.pid != program.pid])
            if not _role(WATCHDOG)(process.cmdline()):
                process.suspend()
