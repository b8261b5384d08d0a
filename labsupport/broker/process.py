"""One operating-system process that the lab started, in this program or in an earlier one.

A pid may have been reused. So a process is recorded by pid *and* start time, and gets a signal only while both match.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from labsupport.broker.identity import started, status
from labsupport.errors import LabError
from labsupport.waiting import until

T = TypeVar("T")

WINDOWS = sys.platform == "win32"


def overlaid(overlay: Mapping[str, str | None]) -> dict[str, str]:
    """Return this program's environment updated with `overlay`; None removes a variable."""
    return {name: value for name, value in {**os.environ, **overlay}.items() if value is not None}


def write_atomically(path: Path, text: str, mode: int = 0o666) -> None:
    """Write `text` so that a reader, or a crash, finds the old file or the new one, never half of it.

    `mode` says who may read it, less what the umask takes away.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.touch(mode)
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


def tail(log: Path, lines: int = 12) -> str:
    """Return the last lines of the file `log`, or why there are none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 20_000))
            text = file.read().decode("utf-8", "replace")
    except OSError as error:
        return f"(no log: {error})"
    return "\n".join(text.splitlines()[-lines:]) or "(its log is empty)"


def _has_words(pid: int) -> bool:
    """Whether the process has its command line, by which the lab finds it, or has ended.

    While Linux replaces a program, `Popen` returns a moment before the new one's words can be read.
    """
    try:
        return bool(psutil.Process(pid).cmdline())
    except psutil.Error:
        return True


def _kill_session(process: psutil.Process) -> None:
    """Kill a process that has a session of its own, and its children there.

    Java writes the start-up cache in a child that carries no mark.
    """
    if not WINDOWS and os.getpgid(process.pid) == process.pid:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


@dataclass(frozen=True)
class Process:
    """A supervised process. Its output goes to the file `log`, never to a pipe that nobody reads."""

    name: str
    pid: int
    began: str
    log: Path
    popen: subprocess.Popen | None = field(default=None, compare=False, repr=False)

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        cwd: Path,
        env: Mapping[str, str | None] | None = None,
        user: int | None = None,
    ) -> "Process":
        """Start `command` in a session of its own, so that Ctrl-C in a terminal or a kernel does not reach it.

        `env` is laid over this program's environment. `user`: the user and group id, if not ours. Raises LabError if
        the program cannot be started.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        own_group: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        if user is not None:
            own_group |= {"user": user, "group": user, "extra_groups": []}
        try:
            with log.open("ab") as output:
                popen = subprocess.Popen(
                    list(command),
                    cwd=cwd,
                    env=overlaid(env or {}),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    **own_group,
                )
        except OSError as error:
            raise LabError(
                f"Could not start {name}.", f"{command[0]}: {error}", "python3 lab.py  (sets it up again)"
            ) from error
        until(lambda: _has_words(popen.pid), 60, f"{name} to have its command line", every=0.001)
        return cls(name, popen.pid, started(popen.pid) or "ended at once", log, popen)

    def __getstate__(self) -> dict[str, Any]:
        """Another process gets it without the handle that only its parent has."""
        return self.__dict__ | {"popen": None}

    @classmethod
    def recorded(cls, path: Path) -> "Process | None":
        """Return the process that `record` wrote to `path`, if it still runs."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            process = cls(fields["name"], int(fields["pid"]), fields["began"], Path(fields["log"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return process if process.alive else None

    def record(self, path: Path) -> None:
        """Write down which process this is, so that other programs find it."""
        fields = {"name": self.name, "pid": self.pid, "began": self.began, "log": str(self.log)}
        write_atomically(path, json.dumps(fields))

    @property
    def alive(self) -> bool:
        """Whether this process, and no other with its pid, still runs; a frozen one does."""
        if self.popen is not None and self.popen.poll() is not None:
            return False
        return started(self.pid) == self.began

    def tail(self, lines: int = 12) -> str:
        """The last lines of its log, for an error."""
        return tail(self.log, lines)

    def stop(self, deadline: float = 10.0) -> None:
        """Ask it to end (SIGTERM); kill it after `deadline` seconds. Harmless if it has ended already."""
        self._tell(psutil.Process.resume)  # a frozen process would not handle the next signal
        self._tell(psutil.Process.terminate)
        try:
            until(lambda: not self.alive, deadline, f"{self.name} to end")
        except LabError:
            self.kill()

    def wait(self) -> int:
        """Wait for its end, without a limit; returns its exit code. Only the program that started it may call this."""
        assert self.popen is not None
        return self.popen.wait()

    def kill(self) -> None:
        """Kill it and its children as a power cut would (SIGKILL), and wait until it is gone."""
        self._tell(_kill_session)
        until(lambda: not self.alive, 60, f"{self.name} (pid {self.pid}) to be gone after SIGKILL")

    def pause(self) -> None:
        """Freeze it (SIGSTOP): its sockets stay open and nothing answers. Returns when it is frozen."""
        self._tell(psutil.Process.suspend)
        until(lambda: self.paused or not self.alive, 60, f"{self.name} to be frozen")

    def resume(self) -> None:
        """Resume a frozen process. Harmless if it is not frozen."""
        self._tell(psutil.Process.resume)

    @property
    def paused(self) -> bool:
        """Whether it is frozen."""
        if sys.platform == "linux":
            return self.alive and status(self.pid)[0] == "T"
        return self._tell(psutil.Process.status) == psutil.STATUS_STOPPED

    @property
    def seconds(self) -> float:
        """How long it has been running, in seconds."""
        created = self._tell(psutil.Process.create_time)
        return max(0.0, time.time() - created) if created else 0.0

    @property
    def memory(self) -> int:
        """Its resident memory in bytes; 0 if it is gone."""
        info = self._tell(psutil.Process.memory_info)
        return info.rss if info else 0

    def _tell(self, action: Callable[[psutil.Process], T]) -> T | None:
        """Do `action` to the process; return None if it is gone."""
        if self.alive:
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                return action(psutil.Process(self.pid))
        return None
