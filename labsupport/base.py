"""The ground the other rooms stand on: errors that speak to the learner, waits that end, settings.

No process is started here and no socket opened.
"""

import contextlib
import getpass
import hashlib
import importlib.util
import os
import platform
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import platformdirs
from filelock import FileLock, Timeout
from tqdm import tqdm

T = TypeVar("T")

CHECKOUT = Path(__file__).resolve().parent.parent

# What asks a program to end: Ctrl-C, `kill`, a closed terminal (which Windows does not know).
INTERRUPTS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

PATIENCE = 1.5  # seconds of silence before something says what it is waiting for
# Where it says so; None is stderr. A notebook shows stderr on red, as it shows errors, and a line taken back stays red.
NOTES = sys.stdout if type(sys.stdout).__module__.startswith("ipykernel") else None
# All in one line: a second one would be reached by moving the cursor up, which a notebook does not do.
QUIET = {"delay": PATIENCE, "leave": False, "position": 0, "file": NOTES}

ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})")


class LabError(Exception):
    """Something the lab could not do, said so that the reader knows the next step.

    `tried` is the sentence of what was attempted, `seen` what was met instead (may be several lines, such as the
    end of a log), `next_step` what to type or change.
    """

    def __init__(self, tried: str, seen: str = "", next_step: str = ""):
        self.tried, self.seen, self.next_step = tried, seen, next_step
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [self.tried]
        if self.seen:
            parts.append("  seen: " + self.seen.strip().replace("\n", "\n        "))
        if self.next_step:
            parts.append("  next: " + self.next_step.strip().replace("\n", "\n        "))
        return "\n".join(parts)

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a stack of the lab's own frames (its documented hook)."""
        return [f"LabError: {self}"]


def until(condition: Callable[[], T], timeout: float, what: str, *, every: float = 0.02, next_step: str = "") -> T:
    """Call `condition` until it returns something true, and return that; from 1.5 s on, say what is waited for.

    `timeout` and `every` are seconds on the monotonic clock. Raises LabError, naming `what`, when time is up.
    """
    begin = time.monotonic()
    note_format = "waiting for {desc} … {elapsed}"
    with tqdm(bar_format=note_format, desc=what, mininterval=0.5, **QUIET) as note:
        while not (result := condition()):
            if time.monotonic() - begin >= timeout:
                raise LabError(f"Waited {timeout:g} s for {what}.", "it did not happen", next_step)
            note.update()
            time.sleep(every)
        return result


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 record`, `2 records`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


@contextlib.contextmanager
def only_one(lock: Path, what: str, timeout: float = 600) -> Iterator[None]:
    """Hold the file `lock` for the body of a `with`, so that one program at a time does `what`.

    The system takes the lock back from a program that dies. Raises LabError after `timeout` seconds.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(lock)

    def acquired() -> bool:
        try:
            file_lock.acquire(timeout=0)
            return True
        except Timeout:
            return False

    until(acquired, timeout, f"another program to finish {what}", every=0.05)
    try:
        yield
    finally:
        file_lock.release()


@contextlib.contextmanager
def storing(folder: Path, variable: str) -> Iterator[None]:
    """Turn an OSError in the body of a `with` into a LabError: a full disk, or a folder that may not be written to.

    `variable` is the environment variable that would move the folder elsewhere.
    """
    try:
        yield
    except OSError as error:
        raise LabError(
            f"Could not write in {folder}.",
            str(error),
            f"free some space (the lab needs 300 MB there), or set {variable} to a folder that you may write to",
        ) from error


def progress(
    what: str, total: float | None = None, unit: str = "it", *, over: Iterable[T] | None = None, scale: bool = False
) -> "tqdm[T]":
    """A progress bar, in a terminal and in a notebook alike, for what takes longer than 1.5 s.

    Call its `update(n)`, or go through `over` by it; then `total` is needed only if `over` does not know its length.
    """
    return tqdm(over, desc=what, total=total, unit=unit, unit_scale=scale, ncols=88, **QUIET)


def function_of(text: str) -> Callable:
    """The function that `file.py:name` means; the file is run to get it. Raises LabError if there is none."""
    file, _, name = text.rpartition(":")
    spec = importlib.util.spec_from_file_location(Path(file).stem, file) if Path(file).is_file() else None
    if spec is None or spec.loader is None:
        raise LabError(f"There is no Python file {file or text!r}.", "", "give file and function: work/mails.py:handle")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise LabError(f"{file} cannot be run.", in_short(error), "mend it, and try again") from error
    if not callable(function := getattr(module, name, None)):
        raise LabError(f"{file} has no function {name!r}.", "", "is its name right?")
    return function


def in_short(error: Exception) -> str:
    """What was raised, and the line that raised it."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"


def parse_addresses(text: str) -> list[tuple[str, int]]:
    """The (host, port) pairs of `host:port[,host:port]`; raises LabError for anything else."""
    pairs = []
    for part in text.split(","):
        match = ADDRESS.fullmatch(part.strip())
        if not match or not 0 < int(match["port"]) < 65536:
            raise LabError(
                f"LAB_KAFKA is {text!r}.",
                f"{part.strip()!r} is not host:port with a port between 1 and 65535",
                "set LAB_KAFKA=localhost:9092 (several: host:port,host:port), or unset it to use the lab's own broker",
            )
        pairs.append((match["host"].strip("[]"), int(match["port"])))
    return pairs


def default_learner() -> str:
    """`user_machine` in small letters: two people on one shared broker, or two containers, must not share names."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "learner"
    return "_".join(re.sub(r"[^a-z0-9]", "", part.lower())[:24] or "x" for part in (user, platform.node()))


@dataclass(frozen=True)
class Settings:
    """What the environment says, read once at the edge and handed on as a value.

    `kafka` is "embedded" or "host:port[,host:port]"; `home` holds this checkout's broker, `cache` what all checkouts
    of this user share; `offline` is a folder with wheels and jars, `maven` the address of a mirror. `seed` decides
    which events the shop of the lessons has.
    """

    home: Path
    cache: Path
    kafka: str = "embedded"
    learner: str = ""
    offline: Path | None = None
    maven: str | None = None
    seed: int = 2026

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read the variables that begin with LAB_ (the README lists them); raises LabError if one is bad."""
        kafka = environ.get("LAB_KAFKA", "").strip() or "embedded"
        if kafka != "embedded":
            parse_addresses(kafka)
        learner = environ.get("LAB_LEARNER", "").strip() or default_learner()
        if not re.fullmatch(r"[a-z0-9_]{1,50}", learner):
            raise LabError(
                f"LAB_LEARNER is {learner!r}.",
                "it becomes part of topic names",
                "use 1 to 50 of the characters a-z, 0-9 and _",
            )
        offline = environ.get("LAB_OFFLINE", "").strip()
        if offline and not Path(offline).is_dir():
            raise LabError(
                f"LAB_OFFLINE is {offline!r}.", "there is no such folder", "give the folder with the wheels and jars"
            )
        seed = environ.get("LAB_SEED", "").strip() or "2026"
        if not re.fullmatch(r"-?[0-9]{1,18}", seed):
            raise LabError(f"LAB_SEED is {seed!r}.", "it is not a whole number", "set LAB_SEED=2026, or unset it")
        return cls(
            home=Path(environ.get("LAB_HOME") or CHECKOUT / ".lab").resolve(),
            cache=Path(environ.get("LAB_CACHE") or platformdirs.user_cache_dir("kafka-lab", appauthor=False)).resolve(),
            kafka=kafka,
            learner=learner,
            offline=Path(offline).resolve() if offline else None,
            maven=environ.get("LAB_MAVEN", "").strip() or None,
            seed=int(seed),
        )

    @property
    def embedded(self) -> bool:
        """Whether the lab runs its own broker."""
        return self.kafka == "embedded"

    @property
    def prefix(self) -> str:
        """What the names of topics and groups begin with: nothing on the lab's own broker, the learner elsewhere."""
        return "" if self.embedded else f"lab-{self.learner}-"


def digest(*parts: str) -> str:
    """Twelve hex digits that name this combination of `parts`."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
