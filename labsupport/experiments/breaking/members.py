"""The members of a consumer group as processes: start, stop, kill, freeze and slow them. From lesson 05 on.

A thread cannot be frozen or killed, so each member is a process. It runs the worker and writes the worker's moments to
a file: who owned and handled what, and when. It prints nothing.
"""

import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from labsupport.broker import background
from labsupport.broker.cluster import Cluster
from labsupport.broker.process import tail, write_atomically
from labsupport.delivery import dead_letter
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.moments import Kind, Moment
from labsupport.delivery.reading import READS
from labsupport.delivery.retry import Policy
from labsupport.delivery.worker import Worker
from labsupport.errors import LabError
from labsupport.experiments.breaking import faults, forkserver, python_process
from labsupport.experiments.breaking.faults import At
from labsupport.experiments.watching import moment_file
from labsupport.experiments.watching.ownership import GroupHistory
from labsupport.interrupts import interrupts_call
from labsupport.settings import Settings
from labsupport.waiting import until

# Shorter than the defaults: the broker notices a dead member after 3 s, and the others learn it within 0.3 s.
SETTINGS = READS | {"session_timeout_ms": 3_000, "heartbeat_interval_ms": 300}


def nothing(_record: Any) -> None:
    """The default handler: do nothing with the record."""


@contextlib.contextmanager
def managed(
    cluster: Cluster,
    topic: str,
    group: str,
    handle: Callable[[Any], object] = nothing,
    policy: Policy | None = None,
    **settings: Any,
) -> Iterator["Members"]:
    """Members of `group` for the body of a `with`. Each calls `handle(record)`; `settings` are their consumers'.

    With a `policy`, a record that fails is retried and then becomes a dead letter, in the topic that
    `lab.dead_letters(topic)` creates. Without one, a member ends at the first error. The group is deleted first, so it
    begins empty. At the end all processes are killed and the group has no member; its committed offsets and `history`
    stay. Raises LabError if a consumer outside the lab keeps joining the group.
    """
    cluster.delete_groups([group])
    members = Members(cluster, topic, group, handle, policy, settings)
    try:
        yield members
    finally:
        members.close()


def owners(cluster: Cluster, group: str) -> dict[str, list[int]]:
    """The partitions that the broker has assigned, by client_id; empty during a rebalance."""
    described = cluster.describe(group)
    return described.owners if described.stable else {}


class Members:
    """The members of one group, by name, such as "A". Created by `managed`, which also ends them."""

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
        self.handle, self.policy = handle, policy  # for members started from now on
        self.settings = SETTINGS | settings
        self._folder = background.own_folder(Settings.from_environment())
        self._processes = contextlib.ExitStack()
        self._running: dict[str, python_process.ChildProcess] = {}  # without those that were stopped or killed
        self._frozen_here: set[str] = set()  # a member frozen by a fault reports its waking itself
        self._moments: tuple[Moment, ...] | None = None  # all moments, once the folder is deleted
        self._append = moment_file.writer(self._moments_file("notebook"))  # what is done to members, not by them

    @property
    def history(self) -> GroupHistory:
        """What all members have done so far, also those that have ended."""
        return GroupHistory.from_moments(self._moments if self._moments is not None else self._read())

    @property
    def owners(self) -> dict[str, list[int]]:
        """The partitions that the broker has assigned, by member; empty while the group rebalances."""
        return owners(self.cluster, self.group)

    def start(self, *names: str, settle: bool = True, freeze_at: str = "", nth: int = 1, **settings: Any) -> None:
        """Start these members, with more consumer `settings`, and wait until the group has settled.

        With `settle=False` it does not wait. `freeze_at="handling"` freezes each member at its nth moment of that kind,
        counted from this start. Raises LabError if one of them is running.
        """
        for name in names:
            if name in self._running:
                raise LabError(f"{name} is running.", "", f'members.stop("{name}") or kill("{name}") ends it')
            self._record(Kind.STARTED, name)
            own = self.settings | settings | {"name": name}
            work = (self.topic, self.group, self.handle, self.policy, own, self._delay_file(name))
            member_faults = []
            if freeze_at:
                earlier = moment_file.read(self._moments_file(name))  # of processes before this start
                passed = sum(each.kind is Kind(freeze_at) for each in earlier)
                member_faults = [faults.freeze(freeze_at, passed + nth)]
            folder = self._moments_file(name).parent
            self._running[name] = self._processes.enter_context(
                forkserver.shared().start(
                    faults.run_service, self.cluster.connection, self.cluster.prefix, _work, work, member_faults,
                    folder, name, name=f"member {name}",
                )
            )  # fmt: skip
        if settle:
            self.settle()

    def stop(self, *names: str) -> None:
        """Ask these to end (SIGTERM), and wait: each finishes the record in hand, commits and leaves the group."""
        running = [self._take(name, Kind.ASKED_TO_STOP) for name in names]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: each.process.stop(30), running))

    def kill(self, *names: str) -> None:
        """End these at once (SIGKILL): they commit nothing and do not leave the group."""
        for name in names:
            self._take(name, Kind.KILLED).process.kill()

    def freeze(self, name: str) -> None:
        """Freeze the process (SIGSTOP): it stays in the group until the broker notices the lack of heartbeats."""
        member = self._find(name)
        self._record(Kind.FROZEN, name)
        self._frozen_here.add(name)
        member.process.pause()

    def wake(self, name: str) -> None:
        """Let a frozen member continue. It does not know that it was frozen."""
        member = self._find(name)
        if name in self._frozen_here:
            self._record(Kind.WOKEN, name)
            self._frozen_here.discard(name)
        faults.wake(self._moments_file(name).parent, member.process)

    def slow(self, name: str, seconds: float) -> None:
        """From now on this member takes `seconds` longer for each record; 0 ends that."""
        self._find(name)
        self._record(Kind.SLOWED, name)
        write_atomically(self._delay_file(name), repr(float(seconds)))

    def settle(self, timeout: float = 60.0) -> None:
        """Wait until the group is stable, its members are those that run, and each knows its assignment.

        Raises LabError if a member has ended by itself, or after `timeout` seconds.
        """
        self.wait(lambda _: self._settled(), f"the group {self.group} to settle", timeout)

    def wait(self, condition: Callable[[GroupHistory], Any], what: str, timeout: float = 60.0) -> Any:
        """Wait until `condition(history)` is true, and return it. Raises LabError as `settle` does."""

        def met() -> Any:
            for name, member in self._running.items():
                if not member.process.alive:
                    if (code := member.exit_code()) < 0:
                        seen = "not by kill(): by itself, by another program, or because memory ran out"
                        raise LabError(f"Member {name} was killed (signal {-code}).", seen, "run the cell again")
                    raise LabError(
                        f"Member {name} has ended by itself.",
                        tail(member.folder / "printed"),
                        "fix the function that handles a record, or the member's settings, and run the cell again",
                    )
            return condition(self.history)

        return until(met, timeout, what, every=0.05)

    def wait_for_handled(self, count: int) -> None:
        """Wait until `count` different records were handled. Raises LabError as `settle` does."""
        self.wait(lambda history: len(history.handled()) >= count, f"{count} records to be handled")

    def time_to_handle(self, keys: Collection[str]) -> tuple[float, dict[str, int]]:
        """Publish a record with each of these keys, and wait until all are handled.

        Returns the seconds that the busiest member needs for its records, and how many each running member handled.
        One record counts as long as the quickest took: a busy machine adds to the others. Raises LabError as `settle`
        does.
        """
        before = len(self.history.handling_times)
        producer = self.cluster.producer(name="keys")
        for key in keys:
            producer.send(self.topic, key=key.encode(), value=b"bid")
        self.wait(
            lambda history: len(history.handling_times) >= before + len(keys),
            f"{len(keys)} records to be handled",
        )
        took = self.history.handling_times[before:]
        by_member = Counter(name for name, _ in took)
        quickest = min(seconds for _, seconds in took)
        return max(by_member.values()) * quickest, {name: by_member[name] for name in sorted(self._running)}

    def close(self) -> None:
        """Kill all members and remove them from the group. Harmless if there is none."""
        try:
            self._processes.close()
            self._moments = self._read()
        finally:
            self._running.clear()
            shutil.rmtree(self._folder, ignore_errors=True)
        self.cluster.evict(self.group)

    def _settled(self) -> bool:
        owners, history = self.owners, self.history
        expected = {name for name in self._running if not history.is_frozen(name)}
        return set(owners) == expected and all(history.assignment(name) == owners[name] for name in expected)

    def _find(self, name: str) -> python_process.ChildProcess:
        if name not in self._running:
            raise LabError(f"There is no member {name!r}.", f"running: {', '.join(self._running) or 'none'}")
        return self._running[name]

    def _take(self, name: str, kind: Kind) -> python_process.ChildProcess:
        self._find(name)
        self._record(kind, name)
        return self._running.pop(name)

    def _moments_file(self, name: str) -> Path:
        """The file with a member's moments, or the notebook's. A restarted member appends to it."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return folder / faults.MOMENTS_FILE

    def _delay_file(self, name: str) -> Path:
        return self._folder / name / "delay"

    def _record(self, kind: Kind, name: str) -> None:
        self._append(Moment(kind, time.monotonic(), name))

    def _read(self) -> tuple[Moment, ...]:
        return tuple(
            moment for file in self._folder.glob(f"*/{faults.MOMENTS_FILE}") for moment in moment_file.read(file)
        )


def _work(
    kafka: Cluster,
    at: At,
    topic: str,
    group: str,
    handle: Callable,
    policy: Policy | None,
    settings: dict[str, Any],
    delay: Path,
) -> None:
    """In a member's process: run the worker until SIGTERM."""

    def slowed(moment: Moment) -> None:
        if moment.kind is Kind.HANDLING and delay.exists():
            time.sleep(float(delay.read_text()))

    consumer = kafka.consumer(topic, group_id=group, **settings)
    error_handler = None
    if policy:
        producer = kafka.producer(name=f"{settings['name']}-dead-letters", **dead_letter.producer_settings())
        error_handler = ErrorHandler(producer, policy)
    worker = Worker(consumer, handle, hooks=[at.hook, slowed], error_handler=error_handler)
    with interrupts_call(worker.stop):
        worker.run()
    kafka.close_client(settings["name"])
    at(Kind.LEFT)
