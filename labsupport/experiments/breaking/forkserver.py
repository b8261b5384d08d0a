"""A fork server: child processes that start at once, forked from one that has imported what they need.

A new Python needs half a second for its imports, and trials, members and services would wait for little else. A client
does not survive a fork, so the server never makes one: it has one thread and waits for calls. Its children may ask it
for more children; those end with them. Without `fork` (Windows), each child is a new Python.
"""

import atexit
import contextlib
import importlib
import itertools
import json
import os
import pickle
import random
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labsupport.broker.process import Process, started, write_atomically
from labsupport.broker.processes import python_marks
from labsupport.errors import LabError
from labsupport.experiments.breaking import python_process
from labsupport.experiments.breaking.python_process import ChildProcess, CompletedProcess
from labsupport.settings import Settings
from labsupport.waiting import until

CHILD = "import sys; from labsupport.experiments.breaking.forkserver import serve; serve(sys.argv[1])"
ENVIRONMENT = {"PYTHONUNBUFFERED": "1"}  # what a child printed survives its crash
PRELOADED = ("encodings.idna", "tqdm", "labsupport.experiments.breaking.trial")
# What no child needs, and takes seconds to import: pictures; commands, with Jupyter, where a command starts the server.
NOT_PRELOADED = (".plots", ".commands")
CAN_FORK = hasattr(os, "fork")


@dataclass(frozen=True)
class ForkedChild(ChildProcess):
    """A forked child process. Its parent is the server, which writes its exit code to a file."""

    server: Process

    def exit_code(self) -> int:
        """The exit code after the end; the negative signal number if a signal ended it.

        If the server was killed, nobody knows it: then it is that of a kill.
        """
        file = self.folder / "code"
        until(lambda: file.exists() or not self.server.alive, 60, f"{self.process.name}'s exit code", every=0.002)
        return int(file.read_text()) if file.exists() else -signal.SIGKILL


class ForkServer:
    """A context manager whose `start(…)` works like `python_process.start`, twenty times as fast."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._numbers = itertools.count(1)
        self.settings = Settings.from_environment()

    def __enter__(self) -> "ForkServer":
        with contextlib.ExitStack() as stack:
            self.folder = stack.enter_context(python_process.scratch_folder())
            if CAN_FORK:
                ours = {name for name in sys.modules if name.startswith("labsupport.")}
                ours = {name for name in ours if not any(each in name for each in NOT_PRELOADED)}
                (self.folder / "preload").write_text(json.dumps(sorted({*PRELOADED, *ours})))
                os.mkfifo(self.folder / "calls", 0o600)
                # Open for reading too, so that this does not wait for the other side.
                self._calls = os.open(self.folder / "calls", os.O_RDWR)
                stack.callback(os.close, self._calls)
                marks = python_marks(self.settings, "program")
                command, log = [sys.executable, "-P", *marks, "-c", CHILD, str(self.folder)], self.folder / "printed"
                self.process = Process.start("the fork server", command, log, cwd=Path.cwd(), env=ENVIRONMENT)
                stack.callback(self.process.wait)
                stack.callback(self.process.kill)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @classmethod
    def of_this_child(cls, folder: Path) -> "ForkServer":
        """In a forked child: the server that it comes from."""
        server = cls()
        server.folder, pid = folder, os.getppid()
        server._calls = os.open(folder / "calls", os.O_WRONLY)
        server.process = Process("the fork server", pid, started(pid) or "ended", folder / "printed")
        return server

    @contextlib.contextmanager
    def start(self, function: Callable, *arguments: Any, name: str = "") -> Iterator[ChildProcess]:
        """Run `function(*arguments)` in a child process for the body of a `with`, and kill it at the end.

        It has the environment and the current folder that this process has now. Raises UnpicklableError, and LabError
        if the child does not start.
        """
        if not CAN_FORK:
            with python_process.start(function, *arguments, name=name) as child:
                yield child
            return
        name = name or function.__name__
        packed = python_process.pickle_call(function, arguments, name)
        folder = self.folder / f"{os.getpid()}-{next(self._numbers)}"
        folder.mkdir()
        (folder / "call").write_bytes(packed)
        (folder / "surroundings").write_bytes(pickle.dumps((str(Path.cwd()), dict(os.environ))))
        os.write(self._calls, f"{folder.name}\n".encode())
        born = folder / "born"
        until(lambda: born.exists() or not self.process.alive, 60, f"{name} to start", every=0.002)
        if not born.exists():
            raise LabError(f"Could not start {name}.", self.process.tail(), "run it again")
        pid = int(born.read_text())
        process = Process(name, pid, started(pid) or "ended at once", folder / "printed")
        try:
            yield ForkedChild(process, folder, self.process)
        finally:
            process.kill()

    def run(self, function: Callable, *arguments: Any, timeout: float = 60.0, name: str = "") -> CompletedProcess:
        """Run `function(*arguments)` in a child process and wait for its end; as `python_process.run`."""
        with self.start(function, *arguments, name=name) as child:
            return child.wait(timeout)


_shared: list[ForkServer] = []  # at most one
_sharing = threading.RLock()


def shared() -> ForkServer:
    """The fork server of this process, started at the first call. It ends with the process, or with `close_shared`.

    In a forked child it is the server that the child comes from.
    """
    with _sharing:
        if _shared:
            server = _shared[0]
            if server.settings.home == Settings.from_environment().home and (not CAN_FORK or server.process.alive):
                return server
            close_shared()
        server = ForkServer().__enter__()
        _shared.append(server)
        return server


@atexit.register
def close_shared() -> None:
    """End this process's fork server, if there is one, and its children."""
    with _sharing:
        while _shared:
            _shared.pop().__exit__()


def serve(folder: str) -> None:
    """In the server: fork a child for each call. The children carry its marks, so they end with its owner too."""
    _preload(Path(folder))
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
    for pid in children:
        _kill(pid)


def _preload(folder: Path) -> None:
    """Import and make what each child would otherwise import and make again."""
    for name in json.loads((folder / "preload").read_text()):
        with contextlib.suppress(ImportError):  # a module that was changed meanwhile
            importlib.import_module(name)
    from tqdm import tqdm

    # Not tqdm's own lock, a semaphore of all processes: a child that is killed or frozen would keep it.
    tqdm.set_lock(threading.RLock())


def _reap(children: dict[int, Path]) -> None:
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            write_atomically(children.pop(pid) / "code", str(os.waitstatus_to_exitcode(status)))
            for other, folder in children.items():
                if folder.name.startswith(f"{pid}-"):  # it asked for this one
                    _kill(other)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


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
        current, environment = pickle.loads((folder / "surroundings").read_bytes())
        os.chdir(current)
        os.environ.clear()
        os.environ.update(environment | ENVIRONMENT)
        random.seed()
        _shared.append(ForkServer.of_this_child(folder.parent))
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
