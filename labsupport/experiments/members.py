"""The members of a consumer group as processes, to be started, stopped, killed, frozen and slowed down. Lesson 05.

A thread cannot be frozen or killed, and its heartbeats go on beside its work; so each member is a process. It runs the
worker, and what the worker tells it writes down: who owned what and handled what, when. Nothing is printed.
"""

import contextlib
import os
import pickle
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from labsupport.base import LabError, Settings, until
from labsupport.broker import background
from labsupport.broker.cluster import Cluster
from labsupport.broker.process import tail, write_atomically
from labsupport.events.worker import Moment, Worker
from labsupport.experiments import program
from labsupport.experiments.history import History

# What lessons shorten: a member that is gone is missed after 3 s, and the others hear of it within 0.3 s.
SETTINGS = {
    "auto_offset_reset": "earliest",
    "enable_auto_commit": False,
    "session_timeout_ms": 3_000,
    "heartbeat_interval_ms": 300,
}


def nothing(_record: Any) -> None:
    """What a member does with a record, if nobody says otherwise."""


@contextlib.contextmanager
def of(
    cluster: Cluster, topic: str, group: str, handle: Callable[[Any], object] = nothing, **settings: Any
) -> Iterator["Members"]:
    """Members of `group` for the body of a `with`; `handle(record)` is what they do, `settings` their consumers' own.

    The group begins empty, whatever an earlier run left of it. At the end every process is killed and nobody is left
    in the group; what it has committed, and `history`, stay. Raises LabError if somebody else keeps joining it.
    """
    if group in cluster.groups(group):
        cluster.delete_groups([group])
    members = Members(cluster, topic, group, handle, settings)
    try:
        yield members
    finally:
        members.close()


def owners(cluster: Cluster, group: str) -> dict[str, list[int]]:
    """By the members' names (their client_id), the partitions that the broker holds them for; empty in a rebalance."""
    described = cluster.ask(f"the members of {group}", lambda admin: admin.describe_groups([group])[group])
    if described["group_state"] != "Stable":
        return {}
    return {
        member["client_id"]: sorted(
            number for given in member["member_assignment"]["assigned_partitions"] for number in given["partitions"]
        )
        for member in sorted(described["members"], key=lambda member: member["client_id"])
    }


class Members:
    """The members of one group, by their names, such as "A". Made by `of`, which also ends them."""

    def __init__(self, cluster: Cluster, topic: str, group: str, handle: Callable, settings: dict[str, Any]):
        self.cluster, self.topic, self.group, self.handle = cluster, topic, group, handle
        self.settings = SETTINGS | settings
        self._folder = background.own_folder(Settings.from_environment())
        self._processes = contextlib.ExitStack()
        self._running: dict[str, program.Running] = {}  # those that nobody has stopped or killed
        self._diaries: list[_Diary] = []
        self._own = _Diary(self._folder / "notebook")  # what is done to members, rather than by them
        self._diaries.append(self._own)

    @property
    def history(self) -> History:
        """What has happened so far, of all members that there were."""
        return History.of(moment for diary in self._diaries for moment in diary.read())

    @property
    def owners(self) -> dict[str, list[int]]:
        """By member, the partitions that the broker holds it for; empty while the group rebalances."""
        return owners(self.cluster, self.group)

    def start(self, *names: str, settle: bool = True, freeze_at: str = "", nth: int = 1, **settings: Any) -> None:
        """Start these members, with `settings` of their own, and wait until the group has settled with them.

        With `settle=False` it does not wait. `freeze_at="handling"` freezes each in the nth moment of that name.
        """
        for name in names:
            if name in self._running:
                raise LabError(f"{name} is running.", "", f'members.stop("{name}") or kill("{name}") ends it')
            diary = _Diary(self._folder / f"{name}-{len(self._diaries)}")
            self._diaries.append(diary)
            self._tell("started", name)
            self._running[name] = self._processes.enter_context(
                program.started(
                    _serve, self.cluster.bootstrap, self.cluster.prefix, self.topic, self.group, self.handle,
                    self.settings | settings | {"name": name}, diary.path, self._pace(name), freeze_at, nth,
                    name=f"member {name}",
                )
            )  # fmt: skip
        if settle:
            self.settle()

    def stop(self, *names: str) -> None:
        """Ask these to end (SIGTERM): each finishes the record in hand, commits, leaves the group. Waits for that."""
        running = [self._take(name, "asked to stop") for name in names]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: each.process.stop(30), running))

    def kill(self, *names: str) -> None:
        """End these at once (SIGKILL): nothing is committed, and nobody tells the group."""
        for name in names:
            self._take(name, "killed").process.kill()

    def freeze(self, name: str) -> None:
        """Freeze the whole process (SIGSTOP): it stays in the group until the broker misses its heartbeats."""
        self._tell("frozen", name)
        self._find(name).process.pause()

    def wake(self, name: str) -> None:
        """Let a frozen member go on. It does not know that it was away."""
        self._tell("woken", name)
        self._find(name).process.resume()

    def slow(self, name: str, seconds: float) -> None:
        """From now on this member takes so many seconds longer for each record; 0 ends that."""
        self._find(name)
        self._tell("slowed", name)
        write_atomically(self._pace(name), repr(float(seconds)))

    def settle(self, timeout: float = 30.0) -> None:
        """Wait until the group is stable, its members are those that run, and each knows what it has.

        Raises LabError if a member has ended by itself, and after `timeout` seconds.
        """
        self.wait(lambda _: self._settled(), f"the group {self.group} to settle", timeout)

    def wait(self, condition: Callable[[History], Any], what: str, timeout: float = 30.0) -> Any:
        """Wait until `condition(history)` is true, and return it. Raises LabError as `settle` does."""

        def met() -> Any:
            for name, member in self._running.items():
                if not member.process.alive:
                    raise LabError(
                        f"Member {name} has ended by itself.",
                        tail(member.folder / "printed"),
                        "mend the function that handles a record, or the member's settings, and run the cell again",
                    )
            return condition(self.history)

        return until(met, timeout, what, every=0.05)

    def close(self) -> None:
        """Kill all members and take them out of the group. Harmless if there is none."""
        try:
            self._processes.close()
            for diary in self._diaries:
                diary.read()  # all that is left, before the folder goes
        finally:
            self._running.clear()
            shutil.rmtree(self._folder, ignore_errors=True)
        self.cluster.evict(self.group)

    def _settled(self) -> bool:
        owners, history = self.owners, self.history
        expected = {name for name in self._running if not history.frozen(name)}
        return set(owners) == expected and all(history.owned(name) == owners[name] for name in expected)

    def _find(self, name: str) -> program.Running:
        if name not in self._running:
            raise LabError(f"There is no member {name!r}.", f"running: {', '.join(self._running) or 'none'}")
        return self._running[name]

    def _take(self, name: str, what: str) -> program.Running:
        self._find(name)
        self._tell(what, name)
        return self._running.pop(name)

    def _pace(self, name: str) -> Path:
        return self._folder / f"{name}.pace"

    def _tell(self, what: str, name: str) -> None:
        self._own.write(Moment(what, time.monotonic(), name))


class _Diary:
    """Moments in a file: written by one process, read by another while it is written."""

    def __init__(self, path: Path):
        self.path = path
        self._read: list[Moment] = []
        self._at = 0

    def write(self, moment: Moment) -> None:
        with self.path.open("ab") as file:
            pickle.dump(moment, file)

    def read(self) -> list[Moment]:
        """All that is there. The last one may be half: its writer was killed, or is writing."""
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError), self.path.open("rb") as file:
            file.seek(self._at)
            while True:
                self._read.append(pickle.load(file))
                self._at = file.tell()
        return self._read


def _serve(
    bootstrap: str,
    prefix: str,
    topic: str,
    group: str,
    handle: Callable,
    settings: dict[str, Any],
    diary: Path,
    pace: Path,
    freeze_at: str,
    nth: int,
) -> None:
    """In a member's process: work until SIGTERM, or until the notebook that started it is gone."""
    written, parent, name = _Diary(diary), os.getppid(), settings["name"]
    left = nth

    def slowed(moment: Moment) -> None:
        if moment.what == "handling" and pace.exists():
            time.sleep(float(pace.read_text()))

    def freezing(moment: Moment) -> None:
        nonlocal left
        if moment.what == freeze_at:
            left -= 1
            if left == 0:
                written.write(Moment("frozen", time.monotonic(), name))
                os.kill(os.getpid(), signal.SIGSTOP)

    with Cluster(bootstrap, prefix=prefix) as kafka:
        consumer = kafka.consumer(topic, group_id=group, **settings)
        worker = Worker(consumer, handle, hooks=[written.write, slowed, freezing])
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        worker.run(until=lambda: os.getppid() != parent)
    written.write(Moment("left", time.monotonic(), name))
