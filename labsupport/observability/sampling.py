"""Samples a group's lag and age in the background, while an experiment runs."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kafka.errors import KafkaError

from labsupport.broker.clients import Clients
from labsupport.errors import LabError
from labsupport.experiments.watching.lag_series import Sample, table
from labsupport.observability.group_lag import GroupProgress, Observer
from labsupport.waiting import until

if TYPE_CHECKING:
    import pandas

EVERY = 0.2  # seconds from one sample to the next

log = logging.getLogger("labsupport")


def samples_of(group: GroupProgress, at: float) -> list[Sample]:
    """A sample of each partition; the group's partitions must be of one topic."""
    members = len(group.group.members)
    return [
        Sample(
            at, each.partition, members, each.offsets.end, each.offsets.committed, each.lag,
            None if each.age is None else round(each.age, 3),
        )
        for each in group.partitions
    ]  # fmt: skip


class Sampling:
    """What was seen of `group` in `topic`: `samples`, in order of time.

    `marks`: what the experiment did, and when (`at` of the samples taken then). While Kafka does not answer there are
    no samples.
    """

    def __init__(self, observer: Observer, topic: str, group: str):
        self.topic, self.group = topic, group
        self.marks: dict[str, float] = {}
        self._observer = observer
        self._samples: list[Sample] = []
        self._lock = threading.Lock()  # one snapshot at a time
        self._begun: float | None = None

    @property
    def samples(self) -> tuple[Sample, ...]:
        """All samples so far."""
        return tuple(self._samples)

    def now(self) -> tuple[Sample, ...]:
        """Take a sample: one of each partition; none if there is no such group yet. Raises LabError or KafkaError."""
        return self._take()[1]

    def mark(self, what: str) -> tuple[Sample, ...]:
        """Take a sample and remember that the experiment had just done this; returns the sample as `now` does."""
        self.marks[what], taken = self._take()
        return taken

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each mark and partition: members, end, committed, lag and age at the mark."""
        names = {at: what for what, at in self.marks.items()}
        frame = table([each for each in self.samples if each.at in names])
        frame.insert(0, "after", [names[at] for at in frame["at"]])
        return frame.drop(columns="at").set_index(["after", "partition"])

    def _take(self) -> tuple[float, tuple[Sample, ...]]:
        with self._lock:
            snapshot = self._observer.snapshot()
            self._begun = self._begun or snapshot.time
            at = round(snapshot.time - self._begun, 3)
            found = snapshot.of(self.group)
            taken = samples_of(found, at) if found else []
            self._samples += taken
            return at, tuple(taken)

    def until(
        self, condition: Callable[[tuple[Sample, ...]], object], what: str, timeout: float = 60
    ) -> tuple[Sample, ...]:
        """Take samples until `condition(samples)` is true, and return those. Raises LabError after `timeout` s."""

        def met() -> tuple[Sample, ...]:
            taken = self.now()
            return taken if taken and condition(taken) else ()

        return until(met, timeout, what, every=EVERY / 4)

    def _go_on(self, ended: threading.Event) -> None:
        while not ended.wait(EVERY):
            try:
                self.now()
            except (LabError, KafkaError) as error:
                log.debug("no sample: %s", error)


@contextlib.contextmanager
def sampling(clients: Clients, topic: str, group: str) -> Iterator[Sampling]:
    """Sample the group's progress in the topic for the body of a `with`, about five times a second."""
    with Observer(clients, lambda name: name == group, lambda name: name == topic) as observer:
        found, ended = Sampling(observer, topic, group), threading.Event()
        thread = threading.Thread(target=found._go_on, args=[ended], name="lab-sampling", daemon=True)
        thread.start()
        try:
            yield found
        finally:
            ended.set()
            thread.join()
