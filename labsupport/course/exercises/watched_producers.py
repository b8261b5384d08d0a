"""Producers for judges: they record what a learner's code does with them."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.future import Future

from labsupport.broker.cluster import Cluster

TICK = 0.01  # s


class Watched(KafkaProducer):
    """A producer that records its sends, and how many of them were in flight."""

    def __init__(self, **settings: Any):
        self.sends: list[tuple[Any, Future | None]] = []  # value and future; None if send() raised
        self.most = 0  # the most that were in flight at once
        super().__init__(**settings)

    def send(self, topic: str, value: Any = None, *arguments: Any, **named: Any) -> Future:
        """As KafkaProducer.send."""
        self.sends.append((value, None))
        sending = super().send(topic, value, *arguments, **named)
        self.sends[-1] = (value, sending)
        self.most = max(self.most, len(self.open))
        return sending

    @property
    def values(self) -> list[Any]:
        """The values for which send() was called."""
        return [value for value, _ in self.sends]

    @property
    def open(self) -> list[Future]:
        """The sends that have no outcome yet."""
        return [sending for _, sending in self.sends if sending is not None and not sending.is_done]

    @property
    def failed(self) -> list[Any]:
        """The values whose sends failed, at once or later."""
        return [value for value, sending in self.sends if sending is None or sending.failed()]


class Held(Watched):
    """Holds its batches back while the window can fill, so that the count in flight is the same on every machine.

    It sends when `limit` sends have no outcome, when it has all `count` values, and when neither happens for
    `patience` seconds, because the caller waits for something else.
    """

    def __init__(self, limit: int, count: int, patience: float = 0.3, **settings: Any):
        self.limit, self.count, self.patience = limit, count, patience
        self._go, self._over = threading.Event(), threading.Event()
        super().__init__(
            **{"linger_ms": 20_000, "request_timeout_ms": 20_000, "delivery_timeout_ms": 60_000} | settings
        )
        threading.Thread(target=self._push, daemon=True).start()

    def send(self, *arguments: Any, **named: Any) -> Future:
        """As KafkaProducer.send."""
        try:
            return super().send(*arguments, **named)
        finally:
            if len(self.open) >= self.limit or len(self.sends) >= self.count:
                self._go.set()

    def close(self, *arguments: Any, **named: Any) -> None:
        """As KafkaProducer.close."""
        self._over.set()
        self._go.set()
        super().close(*arguments, **named)

    def _push(self) -> None:
        waited = 0
        while True:
            # in ticks: a machine that stands still costs one tick, for this thread and for the caller's
            # an answer that waits for each send would wait `patience` 200 times; a few times prove the point
            ticks = int(self.patience / TICK) if waited < 4 else 1
            waited += not any(self._go.wait(TICK) for _ in range(ticks))
            if self._over.is_set():
                return
            self._go.clear()
            with contextlib.suppress(KafkaError):
                self.flush(timeout=60)


@contextlib.contextmanager
def watched(kafka: Cluster, kind: type[Watched] = Watched, **settings: Any) -> Iterator[Any]:
    """A producer of that kind for the body of a `with`."""
    own = {name: settings.pop(name) for name in ("limit", "count", "patience") if name in settings}
    producer = kind(**own, **kafka.config("producer", client_id="check", **settings))
    try:
        yield producer
    finally:
        producer.close(timeout=5)
