"""The members of a consumer group as processes, to be started, stopped, killed, frozen and slowed down. Lesson 05.

A thread cannot be frozen or killed, and its heartbeats go on beside its work; so each member is a process. It runs the
worker, and what the worker tells it writes down: who owned what and handled what, when. Nothing is printed.
"""

import contextlib
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from labsupport.broker import background
from labsupport.broker.cluster import Cluster
from labsupport.broker.process import tail, write_atomically
from labsupport.delivery import dead_letter
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.moments import Kind, Moment
from labsupport.delivery.retry import Policy
from labsupport.delivery.worker import Worker
from labsupport.errors import LabError
from labsupport.experiments.breaking import faults, python_process
from labsupport.experiments.breaking.faults import At
from labsupport.experiments.watching import moment_file
from labsupport.experiments.watching.ownership import History
from labsupport.settings import Settings
from labsupport.waiting import until

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
    cluster: Cluster,
    topic: str,
    group: str,
    handle: Callable[[Any], object] = nothing,
    policy: Policy | None = None,
    **settings: Any,
) -> Iterator["Members"]:
    """Members of `group` for the body of a `with`; `handle(record)` is what they do, `settings` their consumers' own.

    With a `policy` each has a recovery: a record that fails is tried again, then it becomes a dead letter, in the topic
    that `lab.dead_letters(topic)` makes. Without one a member ends at the first error. The group begins empty, whatever
    an earlier run left of it. At the end every process is killed and nobody is left in the group; what it has
    committed, and `history`, stay. Raises LabError if somebody else keeps joining it.
    """
    cluster.delete_groups([group])
    members = Members(cluster, topic, group, handle, policy, settings)
    try:
        yield members
    finally:
        members.close()


def owners(cluster: Cluster, group: str) -> dict[str, list[int]]:
    """By the members' names (their client_id), the partitions that the broker holds them for; empty in a rebalance."""
    described = cluster.describe(group)
    return described.owners if described.stable else {}


class Members:
    """The members of one group, by their names, such as "A". Made by `of`, which also ends them."""

    def __init__(
        self,
        cluster: Cluster,
        topic: str,
        group: str,
        handle: Callable,
        policy: Policy | None,
        settings: dict[str, Any],
    ):
        self.cluster, self.topic, self.group = cluster, topic, group
        self.handle, self.policy = handle, policy  # of those that are started from now on
        self.settings = SETTINGS | settings
        self.launch: Callable[..., AbstractContextManager[python_process.Running]] = (
            python_process.started
        )  # or a nursery's, quicker
        self._folder = background.own_folder(Settings.from_environment())
        self._processes = contextlib.ExitStack()
        self._running: dict[str, python_process.Running] = {}  # those that nobody has stopped or killed
        self._held: set[str] = set()  # frozen from here; one that a fault froze tells itself that it is awake
        self._told: tuple[Moment, ...] | None = None  # all of it, once the folder is gone
        # What is done to members, rather than by them.
        self._tell_own = moment_file.appending(self._journal("notebook"))

    @property
    def history(self) -> History:
        """What has happened so far, of all members that there were."""
        return History.of(self._told if self._told is not None else self._read())

    @property
    def owners(self) -> dict[str, list[int]]:
        """By member, the partitions that the broker holds it for; empty while the group rebalances."""
        return owners(self.cluster, self.group)

    def start(self, *names: str, settle: bool = True, freeze_at: str = "", nth: int = 1, **settings: Any) -> None:
        """Start these members, with `settings` of their own, and wait until the group has settled with them.

        With `settle=False` it does not wait. `freeze_at="handling"` freezes each in the nth moment of that name
        from this start on.
        """
        for name in names:
            if name in self._running:
                raise LabError(f"{name} is running.", "", f'members.stop("{name}") or kill("{name}") ends it')
            self._tell(Kind.STARTED, name)
            own = self.settings | settings | {"name": name}
            work = (self.topic, self.group, self.handle, self.policy, own, self._pace(name))
            suffers = []
            if freeze_at:
                passed = sum(
                    each.kind is Kind(freeze_at) for each in moment_file.read(self._journal(name))
                )  # in earlier lives
                suffers = [faults.freeze(freeze_at, passed + nth)]
            journal_of = self._journal(name).parent
            self._running[name] = self._processes.enter_context(
                self.launch(
                    faults.serve, self.cluster.bootstrap, self.cluster.prefix, _work, work, suffers, journal_of, name,
                    name=f"member {name}",
                )
            )  # fmt: skip
        if settle:
            self.settle()

    def stop(self, *names: str) -> None:
        """Ask these to end (SIGTERM): each finishes the record in hand, commits, leaves the group. Waits for that."""
        running = [self._take(name, Kind.ASKED_TO_STOP) for name in names]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: each.process.stop(30), running))

    def kill(self, *names: str) -> None:
        """End these at once (SIGKILL): nothing is committed, and nobody tells the group."""
        for name in names:
            self._take(name, Kind.KILLED).process.kill()

    def freeze(self, name: str) -> None:
        """Freeze the whole process (SIGSTOP): it stays in the group until the broker misses its heartbeats."""
        member = self._find(name)
        self._tell(Kind.FROZEN, name)
        self._held.add(name)
        member.process.pause()

    def wake(self, name: str) -> None:
        """Let a frozen member go on. It does not know that it was away."""
        member = self._find(name)
        if name in self._held:
            self._tell(Kind.WOKEN, name)
            self._held.discard(name)
        faults.wake(self._journal(name).parent, member.process)

    def slow(self, name: str, seconds: float) -> None:
        """From now on this member takes so many seconds longer for each record; 0 ends that."""
        self._find(name)
        self._tell(Kind.SLOWED, name)
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
                    if (code := member.code()) < 0:
                        seen = "not by kill(): by itself, by somebody else, or for want of memory"
                        raise LabError(f"Member {name} was killed (signal {-code}).", seen, "run the cell again")
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
            self._told = self._read()
        finally:
            self._running.clear()
            shutil.rmtree(self._folder, ignore_errors=True)
        self.cluster.evict(self.group)

    def _settled(self) -> bool:
        owners, history = self.owners, self.history
        expected = {name for name in self._running if not history.frozen(name)}
        return set(owners) == expected and all(history.owned(name) == owners[name] for name in expected)

    def _find(self, name: str) -> python_process.Running:
        if name not in self._running:
            raise LabError(f"There is no member {name!r}.", f"running: {', '.join(self._running) or 'none'}")
        return self._running[name]

    def _take(self, name: str, kind: Kind) -> python_process.Running:
        self._find(name)
        self._tell(kind, name)
        return self._running.pop(name)

    def _journal(self, name: str) -> Path:
        """Where what is told of a member, or by the notebook, is written; a member that starts again goes on there."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return folder / faults.JOURNAL

    def _pace(self, name: str) -> Path:
        return self._folder / name / "pace"

    def _tell(self, kind: Kind, name: str) -> None:
        self._tell_own(Moment(kind, time.monotonic(), name))

    def _read(self) -> tuple[Moment, ...]:
        return tuple(moment for file in self._folder.glob(f"*/{faults.JOURNAL}") for moment in moment_file.read(file))


def _work(
    kafka: Cluster,
    at: At,
    topic: str,
    group: str,
    handle: Callable,
    policy: Policy | None,
    settings: dict[str, Any],
    pace: Path,
) -> None:
    """In a member's process: work until SIGTERM."""

    def slowed(moment: Moment) -> None:
        if moment.kind is Kind.HANDLING and pace.exists():
            time.sleep(float(pace.read_text()))

    consumer = kafka.consumer(topic, group_id=group, **settings)
    recovery = None
    if policy:
        producer = kafka.producer(name=f"{settings['name']}-dead-letters", **dead_letter.producer_settings())
        recovery = ErrorHandler(producer, policy)
    worker = Worker(consumer, handle, hooks=[at.hook, slowed], error_handler=recovery)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()
    kafka.close_client(settings["name"])
    at(Kind.LEFT)
