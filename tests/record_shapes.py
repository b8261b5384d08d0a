"""Records six shapes of lag and age on a real broker, for the tests of the alert rules and for exercise 14-2.

    .venv/bin/python tests/record_shapes.py            about a minute and a half; writes recorded_series.csv

In the recordings a second stands for a minute in production.
"""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

from labsupport.broker.cluster import Cluster, private
from labsupport.delivery.retry import Policy
from labsupport.errors import TransientError
from labsupport.experiments.breaking.members import Members, managed
from labsupport.experiments.watching import lag_series
from labsupport.observability.sampling import Sampling, sampling

SECONDS = 60.0  # of each recording
WARM_UP = 5.0  # seconds before: groups have just formed
EVERY = 0.5  # between two samples that are kept
AT = 10.0  # when it happens, whatever it is
# As small as the time is short. A worker commits once for each poll, and reads the batches of one partition after those
# of another: with the defaults a partition stands for longer than a rule's limit though nothing is wrong.
SMALL = {"max_poll_records": 20, "max_partition_fetch_bytes": 500}
FOREVER = Policy(wait_initial=0.2, wait_max=0.5)


def nothing(_record) -> None:
    """A handler that is quick."""


def ten_milliseconds(_record) -> None:
    """A handler that can do a hundred records a second."""
    time.sleep(0.01)


def two_seconds_later(record) -> None:
    """A handler that waits until a record is 2 s old: steady, and never early."""
    time.sleep(max(0.0, record.timestamp / 1000 + 2 - time.time()))


def chokes_on_poison(record) -> None:
    """A handler whose database refuses one record, as if it were down."""
    if record.value == b"poison":
        raise TransientError("locked")


class Shop:
    """Writes records at a steady rate, in a thread."""

    def __init__(self, cluster: Cluster, topic: str, per_second: float):
        self.topic, self.per_second = topic, per_second
        self.producer = cluster.producer(name=f"shop-{topic}", batch_size=500)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        number, begun = 0, time.monotonic()
        while not self._stopped.wait(max(0.0, begun + number / self.per_second - time.monotonic())):
            self.producer.send(self.topic, b"bid", partition=number % 2)
            number += 1

    def burst(self, count: int, value: bytes = b"bid") -> None:
        """Write so many records at once, into partition 0."""
        for _ in range(count):
            self.producer.send(self.topic, value, partition=0)
        self.producer.flush(timeout=300)

    def stop(self) -> None:
        """Write no more."""
        self._stopped.set()
        self._thread.join()


Event = Callable[[Shop, Members], object]


def no_traffic(shop: Shop, members: Members) -> None:
    """Stop writing; when all is handled, kill the consumer."""
    shop.stop()
    with sampling(members.cluster, members.topic, members.group) as watched:
        watched.until(lambda now: all(each.lag == 0 for each in now), "all to be handled")
    members.kill("A")


SHAPES: dict[str, tuple[float, Callable, Event]] = {  # records per second, handler, what happens
    "healthy": (10, nothing, lambda shop, members: None),
    "batch job": (4, ten_milliseconds, lambda shop, members: shop.burst(1500)),
    "poison": (4, chokes_on_poison, lambda shop, members: shop.burst(1, b"poison")),
    "dead consumer": (2, nothing, lambda shop, members: members.kill("A")),
    "no traffic, dead consumer": (4, nothing, no_traffic),
    "slow, keeping up": (60, two_seconds_later, lambda shop, members: None),
}


@contextlib.contextmanager
def running(cluster: Cluster, name: str) -> Iterator[tuple[Sampling, Event, Shop, Members]]:
    """One shape, with its own topic and group."""
    rate, handle, event = SHAPES[name]
    topic = cluster.create_topic(f"14-{name.replace(', ', '-').replace(' ', '-')}", 2)
    cluster.create_topic(f"{topic}-dlt", 2)
    policy = FOREVER if name == "poison" else None
    with managed(cluster, topic, f"{topic}-group", handle, policy=policy, **SMALL) as members:
        members.start("A")
        shop = Shop(cluster, topic, rate)
        with sampling(cluster, topic, members.group) as watched:
            yield watched, event, shop, members
        shop.stop()


def record() -> dict[str, tuple[lag_series.Sample, ...]]:
    """All shapes at the same time, on a broker of their own."""
    with private() as cluster, contextlib.ExitStack() as stack:
        shapes = {name: stack.enter_context(running(cluster, name)) for name in SHAPES}
        time.sleep(WARM_UP)
        begun = {name: watched.now()[0].at for name, (watched, *_) in shapes.items()}
        time.sleep(AT)
        for _, event, shop, members in shapes.values():
            event(shop, members)
        time.sleep(SECONDS - AT)
        return {name: _thinned(watched.samples, begun[name]) for name, (watched, *_) in shapes.items()}


def _thinned(samples: tuple[lag_series.Sample, ...], begin: float) -> tuple[lag_series.Sample, ...]:
    """For each half second the first sample of each partition, with times that begin at 0."""
    kept = {}
    for each in samples:
        if each.at >= begin:
            slot = int((each.at - begin) / EVERY)
            kept.setdefault((slot, each.partition), dataclasses.replace(each, at=slot * EVERY))
    return tuple(kept.values())


if __name__ == "__main__":
    lag_series.write(lag_series.RECORDED, record())
