"""A function in a Python process of its own: what is to die, or to start afresh, cannot be the notebook's kernel."""

import contextlib
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle

from labsupport.broker import background
from labsupport.broker.process import Process
from labsupport.broker.processes import python_marks
from labsupport.errors import LabError
from labsupport.files import storing
from labsupport.settings import Settings
from labsupport.waiting import until

CHILD = "import sys; from labsupport.experiments.breaking.python_process import run_call; run_call(sys.argv[1])"


@dataclass(frozen=True)
class CompletedProcess:
    """A program that has ended: what it printed, its exit code (0 if nothing went wrong), and what it returned."""

    printed: str
    exit_code: int
    returned: Any = None


@dataclass(frozen=True)
class ChildProcess:
    """A program that was started: its process (to stop, kill, freeze), and the folder where it leaves what it says."""

    process: Process
    folder: Path

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return (self.folder / "printed").read_text(encoding="utf-8", errors="replace")

    def wait(self, timeout: float) -> CompletedProcess:
        """Wait for its end. Raises LabError after `timeout` seconds."""
        try:
            until(lambda: not self.process.alive, timeout, f"{self.process.name}, in a process of its own,")
        except LabError as error:
            seen = f"{error.seen}; it printed:\n{self.process.tail()}"
            raise LabError(error.tried, seen, "does it wait for something, or loop for ever?") from None
        code, returned = self.exit_code(), None
        with contextlib.suppress(OSError):  # one that was killed has returned nothing
            returned = pickle.loads((self.folder / "returned").read_bytes())
        return CompletedProcess(self.printed, code, returned)

    def exit_code(self) -> int:
        """Its exit code, when it has ended; minus the signal's number if a signal ended it."""
        self.process.wait()
        return self.process.popen.returncode


@contextlib.contextmanager
def start(function: Callable, *arguments: Any, name: str = "") -> Iterator[ChildProcess]:
    """`function(*arguments)` in a Python process of its own, for the body of a `with`; killed at its end, if it runs.

    The function may come from a notebook's cell; it takes along the names that it uses. `name` is what errors call it.
    Raises LabError if something of it cannot be sent (a client, a lesson).
    """
    name = name or function.__name__
    packed = pickle_call(function, arguments, name)
    with scratch_folder() as folder:
        with storing(folder, "LAB_HOME"):
            Path(folder, "call").write_bytes(packed)
        with _python(name, ["-c", CHILD, str(folder)], folder) as child:
            yield child


@contextlib.contextmanager
def start_python(*words: object) -> Iterator[ChildProcess]:
    """`python` with these words, such as "-m" and a module, as a terminal starts it, for the body of a `with`.

    Killed at its end, if it runs.
    """
    with scratch_folder() as folder, _python(" ".join(map(str, words[:2])), list(map(str, words)), folder) as child:
        yield child


@contextlib.contextmanager
def _python(name: str, words: list[str], folder: Path) -> Iterator[ChildProcess]:
    # A file random.py beside the notebook must not stand in for Python's; a learner's own module must be found there.
    ours = CHILD in words or any(word.startswith("labsupport.") for word in words[1:2])
    marks = python_marks(Settings.from_environment(), "program")
    command = [sys.executable, *(["-P"] if ours else []), *marks, *words]
    process = Process.start(name, command, folder / "printed", cwd=Path.cwd(), env={"PYTHONUNBUFFERED": "1"})
    try:
        yield ChildProcess(process, folder)
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder in the lab's home for the body of a `with`; if this program is killed, the next lesson sweeps it.

    Raises LabError if it cannot be made.
    """
    settings = Settings.from_environment()
    with storing(settings.home, "LAB_HOME"):
        folder = background.own_folder(settings)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(function: Callable, *arguments: Any, timeout: float = 60.0, name: str = "") -> CompletedProcess:
    """Call `function(*arguments)` in a Python process of its own, and wait until that has ended.

    As `started`; Ctrl-C ends the process too. Raises LabError after `timeout` seconds.
    """
    with start(function, *arguments, name=name) as child:
        return child.wait(timeout)


def run_call(folder: str) -> None:
    """In the process of its own: call what `started` has put into `folder`, and leave there what comes back."""
    sys.path.append(
        str(Path.cwd())
    )  # what the function imports may lie beside its notebook; behind the lab's own modules
    function, arguments = pickle.loads(Path(folder, "call").read_bytes())
    returned = function(*arguments)
    Path(folder, "returned").write_bytes(cloudpickle.dumps(returned))


def pickle_call(function: Callable, arguments: tuple, name: str) -> bytes:
    """A call, to be sent to another process. Raises LabError if something of it cannot be (a client, a lesson)."""
    try:
        return cloudpickle.dumps((function, arguments))
    except (TypeError, pickle.PicklingError) as error:
        raise LabError(
            f"{name} cannot run in a process of its own.",
            f"something that it uses cannot be sent there: {error}",
            "make clients inside the function, from its first argument; hand over names and numbers, not `lab`",
        ) from error
