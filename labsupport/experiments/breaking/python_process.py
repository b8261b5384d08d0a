"""Run a function in a Python process of its own, because a kill must not hit the notebook's kernel."""

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
from labsupport.experiments.breaking import pickling
from labsupport.files import storing
from labsupport.settings import Settings
from labsupport.waiting import until

CHILD = "import sys; from labsupport.experiments.breaking.python_process import run_call; run_call(sys.argv[1])"


@dataclass(frozen=True)
class CompletedProcess:
    """A child process that has ended: what it printed, its exit code (0: no error), and what its function returned.

    `returned` is None if it was killed, raised or returned None.
    """

    printed: str
    exit_code: int
    returned: Any = None


@dataclass(frozen=True)
class ChildProcess:
    """A child process: its `process` (to stop, kill, freeze), and the folder with its output."""

    process: Process
    folder: Path

    @property
    def printed(self) -> str:
        """What it has printed so far, to stdout and stderr."""
        return (self.folder / "printed").read_text(encoding="utf-8", errors="replace")

    def wait(self, timeout: float) -> CompletedProcess:
        """Wait for the end of the process. Raises LabError after `timeout` seconds."""
        try:
            until(lambda: not self.process.alive, timeout, f"{self.process.name}, in a process of its own,")
        except LabError as error:
            seen = f"{error.seen}; it printed:\n{self.process.tail()}"
            raise LabError(error.tried, seen, "does it wait for something, or loop for ever?") from None
        code, returned = self.exit_code(), None
        with contextlib.suppress(OSError):  # a killed process has returned nothing
            returned = pickle.loads((self.folder / "returned").read_bytes())
        return CompletedProcess(self.printed, code, returned)

    def exit_code(self) -> int:
        """The exit code after the end; the negative signal number if a signal ended it."""
        return self.process.wait()


@contextlib.contextmanager
def start(function: Callable, *arguments: Any, name: str = "") -> Iterator[ChildProcess]:
    """Run `function(*arguments)` in a new Python process for the body of a `with`, and kill it at the end.

    The function may come from a notebook's cell; the names that it uses are pickled with it. Errors call it `name`.
    Raises UnpicklableError if one of these belongs to this process (a client, a lesson).
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
    """Run `python` with these words, such as "-m" and a module, as a terminal does; for the body of a `with`.

    The process is killed at the end.
    """
    with scratch_folder() as folder, _python(" ".join(map(str, words[:2])), list(map(str, words)), folder) as child:
        yield child


@contextlib.contextmanager
def _python(name: str, words: list[str], folder: Path) -> Iterator[ChildProcess]:
    # With -P a random.py beside the notebook does not replace Python's; but a learner's own module must be found there.
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
    """An empty folder in the lab's home for the body of a `with`; after a kill the next lesson deletes it.

    Raises LabError if the folder cannot be created.
    """
    settings = Settings.from_environment()
    with storing(settings.home, "LAB_HOME"):
        folder = background.own_folder(settings)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(function: Callable, *arguments: Any, timeout: float = 60.0, name: str = "") -> CompletedProcess:
    """Run `function(*arguments)` in a new Python process and wait for its end, as `subprocess.run` does.

    Ctrl-C ends the process too. Raises LabError as `start` does, and after `timeout` seconds.
    """
    with start(function, *arguments, name=name) as child:
        return child.wait(timeout)


def run_call(folder: str) -> None:
    """In the child process: make the call that lies in `folder`, and write its result there."""
    # The function may import modules that lie beside its file or notebook; the lab's own come first.
    path, call = pickle.loads(Path(folder, "call").read_bytes())
    sys.path.extend(each for each in path if each not in sys.path)
    function, arguments = pickle.loads(call)
    returned = function(*arguments)
    Path(folder, "returned").write_bytes(cloudpickle.dumps(returned))


def pickle_call(function: Callable, arguments: tuple, name: str) -> bytes:
    """Pickle a call for another process. Raises UnpicklableError if a part belongs to this one (a client, a lesson)."""
    return pickle.dumps((sys.path, pickling.dumps((function, arguments), name)))
