"""A function in a Python process of its own: what is to die, or to start afresh, cannot be the notebook's kernel."""

import contextlib
import pickle
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle

from labsupport.base import LabError, Settings, storing, until
from labsupport.broker import background
from labsupport.broker.process import Process
from labsupport.broker.roster import python_marks

CHILD = "import sys; from labsupport.experiments.program import answer; answer(sys.argv[1])"


@dataclass(frozen=True)
class Ended:
    """A program that has ended: what it printed, its exit code (0 if nothing went wrong), and what it returned."""

    printed: str
    code: int
    returned: Any = None


def run(function: Callable, *arguments: Any, timeout: float = 60.0, name: str = "") -> Ended:
    """Call `function(*arguments)` in a Python process of its own, and wait until that has ended.

    The function may come from a notebook's cell; it takes along the names that it uses. Ctrl-C ends the process too.
    `name` is what errors call it. Raises LabError if something of it cannot be sent (a client, a lesson), and after
    `timeout` seconds.
    """
    name = name or function.__name__
    packed, settings = _packed(function, arguments, name), Settings.from_environment()
    with storing(settings.home, "LAB_HOME"):
        folder = background.own_folder(settings)
        Path(folder, "call").write_bytes(packed)
    command = [sys.executable, *python_marks(settings, "program"), "-c", CHILD, str(folder)]
    try:
        process = Process.start(name, command, folder / "printed", cwd=Path.cwd(), env={"PYTHONUNBUFFERED": "1"})
        try:
            until(lambda: not process.alive, timeout, f"{name}, in a process of its own,")
        except LabError as error:
            seen = f"{error.seen}; it printed:\n{process.tail()}"
            raise LabError(error.tried, seen, "does it wait for something, or loop for ever?") from None
        finally:
            process.kill()
            process.wait()
        returned = None
        with contextlib.suppress(OSError):  # one that was killed has returned nothing
            returned = pickle.loads((folder / "returned").read_bytes())
        printed = (folder / "printed").read_text(encoding="utf-8", errors="replace")
        return Ended(printed, process.popen.returncode, returned)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def answer(folder: str) -> None:
    """In the process of its own: call what `run` has put into `folder`, and leave there what comes back."""
    function, arguments = pickle.loads(Path(folder, "call").read_bytes())
    returned = function(*arguments)
    Path(folder, "returned").write_bytes(cloudpickle.dumps(returned))


def _packed(function: Callable, arguments: tuple, name: str) -> bytes:
    try:
        return cloudpickle.dumps((function, arguments))
    except (TypeError, pickle.PicklingError) as error:
        raise LabError(
            f"{name} cannot run in a process of its own.",
            f"something that it uses cannot be sent there: {error}",
            "make clients inside the function, from its first argument; hand over names and numbers, not `lab`",
        ) from error
