"""A worker's own metrics: what it counts about itself while it works, for Prometheus. Lesson 14.

    metrics = WorkerMetrics()
    worker = Worker(consumer, handle, hooks=[metrics])
    metrics.watch(worker)
    with metrics_page.serve(metrics.registry) as page: …

The names follow Prometheus's conventions ("Metric and label naming" in its documentation): a prefix, a base unit, and
`_total` for what only grows.
"""

import time

from kafka import TopicPartition
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from labsupport.delivery.moments import ASSIGNMENTS, COMMITS, Kind, Moment
from labsupport.delivery.worker import Worker

OUTCOMES = {
    Kind.HANDLED: "handled",
    Kind.RETRYING: "retried",
    Kind.PAUSED: "paused",
    Kind.DEAD_LETTERED: "dead-lettered",
    Kind.SKIPPED: "skipped",
}
HANDLING_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 300)
# Beyond every limit that an alert may have: a percentile above the last bucket is "more than that", and no number.
AGE_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 21_600, 86_400, 604_800)


class WorkerMetrics:
    """A hook for a worker, and the metrics that it feeds; they are in `registry`, which has no others.

    `worker_records_total{outcome}`: records handled, retried, paused, dead-lettered or skipped; a record that is
    retried counts each time. `worker_errors_total{reason}`: failed attempts by the error's class.
    `worker_dead_letters_total{reason}`: dead letters by the class of the last error. `worker_commits_total{outcome}`:
    commits that were committed, refused or unanswered. `worker_handling_seconds`: how long an attempt took.
    `worker_event_age_seconds`: how old a record was when it had been handled, by its timestamp and this machine's
    clock. `worker_records_in_flight`: records in the handler now. `worker_assigned_partitions`: how many it owns.
    `worker_last_poll_timestamp_seconds` and `worker_last_commit_timestamp_seconds`: seconds since 1970, 0 for never.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._records = self._counter("worker_records", "Records by what became of them.", "outcome")
        self._errors = self._counter("worker_errors", "Failed attempts by the error's class.", "reason")
        self._dead = self._counter("worker_dead_letters", "Dead letters by the last error's class.", "reason")
        self._commits = self._counter("worker_commits", "Commits by their outcome.", "outcome")
        self._seconds = self._histogram("worker_handling_seconds", "Duration of an attempt.", HANDLING_BUCKETS)
        self._age = self._histogram("worker_event_age_seconds", "Age of a record when handled.", AGE_BUCKETS)
        self._in_flight = self._gauge("worker_records_in_flight", "Records in the handler.")
        self._assigned = self._gauge("worker_assigned_partitions", "Partitions that the worker owns.")
        self._polled = self._gauge("worker_last_poll_timestamp_seconds", "When the last poll returned (Unix time).")
        self._committed = self._gauge("worker_last_commit_timestamp_seconds", "When it last committed (Unix time).")
        # A counter that first appears at 1 has not increased, to Prometheus: the first dead letter would wake nobody.
        for outcome in OUTCOMES.values():
            self._records.labels(outcome)
        for kind in sorted(COMMITS - {Kind.COMMITTING}):  # a set's order differs from process to process
            self._commits.labels(kind.value)
        self._begun = 0.0
        self._owned: set[TopicPartition] = set()

    def _counter(self, name: str, says: str, label: str) -> Counter:
        return Counter(name, says, [label], registry=self.registry)

    def _histogram(self, name: str, says: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, says, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, says: str) -> Gauge:
        return Gauge(name, says, registry=self.registry)

    def watch(self, worker: Worker) -> None:
        """Report this worker's polls too: they are no moments."""
        self._polled.set_function(lambda: worker.polled or 0)

    def __call__(self, moment: Moment) -> None:
        """Count what happened."""
        if moment.kind is Kind.HANDLING:
            self._begun = moment.time
            self._in_flight.set(1)
        elif moment.kind in (Kind.HANDLED, Kind.FAILED):
            self._in_flight.set(0)
            self._seconds.observe(moment.time - self._begun)
        if moment.kind is Kind.FAILED:
            self._errors.labels(moment.error).inc()
        elif moment.kind in OUTCOMES:
            self._count_outcome(moment)
        elif moment.kind in COMMITS:
            self._count_commit(moment)
        elif moment.kind in ASSIGNMENTS:
            change = self._owned.update if moment.kind is Kind.ASSIGNED else self._owned.difference_update
            change(moment.partitions)
            self._assigned.set(len(self._owned))

    def _count_outcome(self, moment: Moment) -> None:
        self._records.labels(OUTCOMES[moment.kind]).inc()
        if moment.kind is Kind.DEAD_LETTERED:
            self._dead.labels(moment.error).inc()
        if moment.kind is Kind.HANDLED and moment.timestamp is not None and moment.timestamp >= 0:
            # A producer's clock may be ahead of this one.
            self._age.observe(max(0.0, time.time() - moment.timestamp / 1_000))

    def _count_commit(self, moment: Moment) -> None:
        if moment.kind is not Kind.COMMITTING:
            self._commits.labels(moment.kind.value).inc()
        if moment.kind is Kind.COMMITTED:
            self._committed.set_to_current_time()
