"""A fork server: child processes that start at once, forked from one that has imported the Kafka client.

A new Python needs half a second for its imports, and hundreds of trials would wait for little else. A client does not
survive a fork, so the server never makes one: it has one thread and waits for calls. Without `fork` (Windows), each
child is a new Python.
"""

import contextlib
import itertools
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labsupport.broker.process import Process, started, write_atomically
from labsupport.broker.processes import python_marks
from labsupport.errors import LabError
from labsupport.experiments.breaking import python_process
from labsupport.experiments.breaking.python_process import ChildProcess
from labsupport.settings import Settings
from labsupport.waiting import until

CHILD = "import sys; from labsupport.experiments.breaking.forkserver import serve; serve(sys.argv[1])"
ENVIRONMENT = {"PYTHONUNBUFFERED": "1"}  # what a child printed survives its crash


@dataclass(frozen=True)
class ForkedChild(ChildProcess):
    """A forked child process. Its parent is the server, which writes its exit code to a file."""

    def exit_code(self) -> int:
        """The exit code after the end; the negative signal number if a signal ended it."""
        file = self.folder / "code"
        until(file.exists, 10, f"the exit code of {self.process.name}", every=0.002)
        return int(file.read_text())


class ForkServer:
    """A context manager whose `start(…)` works like `python_process.start`, twenty times as fast."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._numbers = itertools.count(1)

    def __enter__(self) -> "ForkServer":
        with contextlib.ExitStack() as stack:
            self.folder = stack.enter_context(python_process.scratch_folder())
            if hasattr(os, "fork"):
                os.mkfifo(self.folder / "calls", 0o600)
                # Open for reading too, so that this does not wait for the other side.
                self._calls = os.open(self.folder / "calls", os.O_RDWR)
                stack.callback(os.close, self._calls)
                marks = python_marks(Settings.from_environment(), "program")
                command, log = [sys.executable, "-P", *marks, "-c", CHILD, str(self.folder)], self.folder / "printed"
                self.process = Process.start("the fork server", command, log, cwd=Path.cwd(), env=ENVIRONMENT)
                stack.callback(self.process.wait)
                stack.callback(self.process.kill)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def start(self, function: Callable, *arguments: Any, name: str = "") -> Iterator[ChildProcess]:
        """Run `function(*arguments)` in a child process for the body of a `with`, and kill it at the end.

        Raises LabError if the call cannot be pickled or the child does not start.
        """
        if not hasattr(os, "fork"):
            with python_process.start(function, *arguments, name=name) as child:
                yield child
            return
        name = name or function.__name__
        packed = python_process.pickle_call(function, arguments, name)
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        (folder / "call").write_bytes(packed)
        os.write(self._calls, f"{folder.name}\n".encode())
        born = folder / "born"
        until(lambda: born.exists() or not self.process.alive, 30, f"{name} to start", every=0.002)
        if not born.exists():
            raise LabError(f"Could not start {name}.", self.process.tail(), "run it again")
        pid = int(born.read_text())
        process = Process(name, pid, started(pid) or "ended at once", folder / "printed")
        try:
            yield ForkedChild(process, folder)
        finally:
            process.kill()


def serve(folder: str) -> None:
    """In the server: fork a child for each call. The children carry its marks, so they end with its owner too."""
    import labsupport.experiments.breaking.trial  # noqa: F401 - what the children need, imported once

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # with a handler, the end of a child wakes select()
    signal.set_wakeup_fd(writing)
    calls = os.open(Path(folder, "calls"), os.O_RDONLY)
    children: dict[int, Path] = {}
    while True:
        ready, _, _ = select.select([calls, reading], [], [])
        if reading in ready:
            os.read(reading, 4096)
            _reap(children)
        if calls in ready:
            names = os.read(calls, 65_536)
            if not names:
                break
            for name in names.decode().split():
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    for file in (reading, writing, calls):
                        os.close(file)
                    _run_child(Path(folder, name))
                children[pid] = Path(folder, name)


def _reap(children: dict[int, Path]) -> None:
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            write_atomically(children.pop(pid) / "code", str(os.waitstatus_to_exitcode(status)))


def _run_child(folder: Path) -> None:
    """In the child: make the call, and exit with its exit code."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        printed = os.open(folder / "printed", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for file in (1, 2):
            os.dup2(printed, file)
        write_atomically(folder / "born", str(os.getpid()))
        python_process.run_call(str(folder))
        code = 0
    except SystemExit as exited:
        code = exited.code if isinstance(exited.code, int) else int(exited.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
