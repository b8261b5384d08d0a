"""Runs trials: one topic of events for all, and a group and a database for each."""

import contextlib
import itertools
import shutil
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from labsupport.broker.cluster import Cluster
from labsupport.delivery import orders, publish
from labsupport.experiments.breaking import forkserver, python_process
from labsupport.experiments.breaking.faults import Fault
from labsupport.experiments.breaking.strategies import Strategy
from labsupport.experiments.breaking.trial import DATABASE, TrialRun, run_trial
from labsupport.experiments.watching import balance, log
from labsupport.experiments.watching.balance import Sheet
from labsupport.shop.event import Event

AT_ONCE = 3  # a trial mostly waits for Kafka


@dataclass(frozen=True)
class Trial:
    """A strategy, and the faults that it meets."""

    strategy: Strategy
    faults: Sequence[Fault] = ()


@dataclass(frozen=True)
class Outcome:
    """A trial that was run, its balance sheet, and its lag: the number of records that its group has not committed."""

    run: TrialRun
    sheet: Sheet
    lag: int


class TrialRunner:
    """A context manager: creates a topic of one partition with these events.

    The names of the topic and the groups begin with the lesson's number and `name`. All are deleted at the end.
    """

    def __init__(self, kafka: Cluster, events: Sequence[Event], name: str, *, seconds: float = 30.0):
        """One process of a trial may take `seconds`."""
        self.kafka, self.events, self.seconds = kafka, events, seconds
        self.name = getattr(kafka, "namespace", f"{kafka.prefix}96-") + name
        self._numbers = itertools.count(1)

    def __enter__(self) -> "TrialRunner":
        with contextlib.ExitStack() as stack:
            self._delete_groups()  # those of a killed run have committed offsets
            self.topic = self.kafka.create_topic(self.name)
            stack.callback(self._tidy)
            publish.publish(self.kafka.producer(name="trials"), self.topic, self.events)
            self.kafka.close_client("trials")
            self.records = log.read(self.kafka, self.topic).valid
            self.forkserver = forkserver.shared()
            self.folder = stack.enter_context(python_process.scratch_folder())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, trials: Iterable[Trial]) -> Generator[Outcome, None, None]:
        """Run the trials AT_ONCE at a time; yield their outcomes in order. Close the iterator to stop early."""
        waiting: deque[tuple[str, Future[TrialRun]]] = deque()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for trial in trials:
                    if len(waiting) == 2 * AT_ONCE:
                        yield self._outcome(*waiting.popleft())
                    group = f"{self.name}-{next(self._numbers)}"  # its offsets stay until the end
                    waiting.append((group, pool.submit(self._run, trial, group)))
                while waiting:
                    yield self._outcome(*waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)  # trials that are running finish first

    def _run(self, trial: Trial, group: str) -> TrialRun:
        """In a thread: nothing here uses a Kafka client, which is not thread-safe."""
        folder = self.folder / group
        folder.mkdir()
        start, seconds, strategy = self.forkserver.start, self.seconds, trial.strategy
        return run_trial(self.kafka, self.topic, group, strategy, folder, trial.faults, start=start, seconds=seconds)

    def _outcome(self, group: str, running: "Future[TrialRun]") -> Outcome:
        run = running.result()
        folder = self.folder / group
        orders.database(folder / DATABASE).close()  # creates it if no process got that far
        committed = log.committed(self.kafka, self.topic, group)
        sheet = balance.compute(self.records, committed, orders.effects(folder / DATABASE))
        shutil.rmtree(folder)
        return Outcome(run, sheet, len(self.records) - committed.get(0, 0))

    def _delete_groups(self) -> None:
        self.kafka.delete_groups(self.kafka.groups(self.name + "-"))

    def _tidy(self) -> None:
        self._delete_groups()
        self.kafka.delete_topics([self.topic])
