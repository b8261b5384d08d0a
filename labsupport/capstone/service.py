"""The learner's program as a process: started, asked, killed, frozen. The lab knows it by the contract alone."""

import http.client
import json
import sys
import tomllib
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labsupport.broker.process import Process
from labsupport.broker.processes import python_marks
from labsupport.capstone.contract import environment
from labsupport.errors import LabError
from labsupport.ports import free_port
from labsupport.settings import Settings
from labsupport.waiting import until

PROGRAM, SETTINGS = "service.py", "capstone.toml"
READY = 120.0  # seconds until the first answer; ends only what hangs
ANSWER = 30.0  # seconds for one answer
GRACE = 30.0  # seconds to end after SIGTERM


def command(folder: Path) -> list[str]:
    """Return the words that start the service in `folder`: of its capstone.toml, else `python service.py`.

    Raises LabError if neither is there, or the file says something else.
    """
    settings = folder / SETTINGS
    if not settings.is_file():
        if not (folder / PROGRAM).is_file():
            raise LabError(
                f"There is no service in {folder}.",
                f"neither {PROGRAM} nor {SETTINGS} is there",
                "python3 lab.py capstone start FOLDER  makes a new one",
            )
        return ["python", PROGRAM]
    try:
        found: object = tomllib.loads(settings.read_text(encoding="utf-8"))["command"]
    except (KeyError, ValueError) as error:
        found = error
    if not isinstance(found, list) or not found or not all(isinstance(word, str) for word in found):
        seen = f'it must have a line such as: command = ["python", "{PROGRAM}"]'
        raise LabError(f"{settings} does not say how the service starts.", f"{found!r}; {seen}")
    return found


def words(settings: Settings, folder: Path) -> list[str]:
    """Return the command line of the service in `folder`, with the lab's own Python, marked as the lab's process."""
    first, *rest = command(folder)
    if first in ("python", "python3"):
        return [sys.executable, *python_marks(settings, "program"), *rest]
    return [first, *rest]


class Service:
    """One instance of the service in `folder`. All instances of a story share the folder `data`; each has a port."""

    def __init__(self, settings: Settings, folder: Path, data: Path, bootstrap: str, name: str = "A"):
        self.settings, self.folder, self.data, self.bootstrap, self.name = settings, folder, data, bootstrap, name
        self.log = data.parent / f"service-{name}.log"
        self.process: Process | None = None
        self.port = 0

    def __repr__(self) -> str:
        return f"the service{'' if self.name == 'A' else ' ' + self.name}"

    def start(self) -> None:
        """Start it, and wait until it answers. Raises LabError if it ends before, or never answers."""
        self.spawn()
        until(lambda: self.ask("/health") is not None or not self.alive, READY, f"{self} to answer")
        if not self.alive:
            raise self.ended()

    def spawn(self) -> None:
        """Start its process and return at once."""
        self.port = self.port or free_port()
        config = self.settings.access_file(self.bootstrap)
        told = {**environment(self.bootstrap, self.port, str(self.data), config=config), "PYTHONUNBUFFERED": "1"}
        command = words(self.settings, self.folder)
        try:
            self.process = Process.start(f"{self}", command, self.log, cwd=self.folder, env=told)
        except LabError as error:
            raise LabError(error.tried, error.seen, f"correct the command in {self.folder / SETTINGS}") from error

    def ended(self) -> LabError:
        """The error that it has ended by itself, with its last words."""
        tail = self.process.tail() if self.process else ""
        return LabError(f"{str(self).capitalize()} has ended by itself.", tail, "start it by hand to see why")

    @property
    def alive(self) -> bool:
        """Whether its process runs, frozen or not."""
        return self.process is not None and self.process.alive

    def stop(self) -> None:
        """End it as an operator does (SIGTERM); kill it if it has not ended after GRACE seconds."""
        if self.process:
            self.process.stop(GRACE)
            self._reap()

    def kill(self) -> None:
        """Kill it (SIGKILL), frozen or not. Harmless if it does not run."""
        if self.process:
            self.process.kill()
            self._reap()

    def freeze(self) -> None:
        """Freeze it (SIGSTOP)."""
        if self.process:
            self.process.pause()

    def thaw(self) -> None:
        """Let it continue."""
        if self.process:
            self.process.resume()

    def _reap(self) -> None:
        if self.process and self.process.popen:
            self.process.popen.wait()
        self.process = None

    def ask(self, path: str) -> bytes | None:
        """Return its answer to GET `path`, or None if it gives none (or an error)."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=ANSWER) as answer:
                return answer.read()
        except (OSError, http.client.HTTPException):  # among them what urllib raises for an error's status
            return None

    def answer(self, path: str) -> list[Any]:
        """Return the list in its answer to GET `path`. Raises LabError if the answer is none."""
        given = self.ask(path)
        try:
            answer = json.loads(given or b"")
        except ValueError:
            answer = None
        if not isinstance(answer, list):
            seen = "nothing, or an error" if given is None else given[:300].decode("utf-8", "replace")
            raise LabError(f"GET {path} must answer a list as JSON.", seen, "the README of your folder has an example")
        return answer


def end_all(services: Sequence[Service]) -> None:
    """Kill those that run."""
    for service in services:
        service.kill()
