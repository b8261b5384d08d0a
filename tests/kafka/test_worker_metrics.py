"""A worker's own metrics: a real worker on a real broker, and its page."""

import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from labsupport import ErrorHandler, dead_letter, lesson, reading
from labsupport.delivery.retry import Policy
from labsupport.delivery.worker import Worker
from labsupport.errors import LabError, PermanentError, TransientError
from labsupport.observability import metrics_page
from labsupport.observability.worker_metrics import AGE_BUCKETS, WorkerMetrics
from labsupport.waiting import until

SETTINGS = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
SOON = Policy(attempts=3, wait_initial=0.01, wait_max=0.02)


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("91")


def read(url) -> dict:
    """The page's samples: {(name, labels): value}."""
    with urllib.request.urlopen(url, timeout=300) as page:
        families = text_string_to_metric_families(page.read().decode())
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def worker_of(lab, handle, values, metrics, **more):
    """A worker in a new group on a new topic with these values."""
    topic = lab.topic("orders")
    lab.dead_letters(topic)
    group = lab.group("metrics")
    lab.delete_groups([group])
    producer = lab.producer(name="shop")
    for value in values:
        producer.send(topic, value, timestamp_ms=more.get("written"))
    producer.flush(timeout=300)
    consumer = lab.consumer(topic, name="A", group_id=group, **SETTINGS)
    handler = ErrorHandler(lab.producer(name="dead", **dead_letter.producer_settings()), SOON)
    worker = Worker(consumer, handle, hooks=[metrics], error_handler=handler)
    metrics.watch(worker)
    return worker


def test_each_outcome_is_counted(lab):
    """Four handled, one retried twice before it is, one dead-lettered at once and one after its attempts."""
    tried = []

    def handle(record):
        tried.append(record.value)
        if record.value == b"later" and tried.count(b"later") < 3:
            raise TransientError("not yet")
        if record.value == b"never":
            raise PermanentError("no")
        if record.value == b"unknown":
            raise ValueError("what?")

    metrics = WorkerMetrics()
    worker = worker_of(lab, handle, [b"1", b"later", b"2", b"never", b"3", b"unknown"], metrics)
    with metrics_page.serve(metrics.registry) as page:
        before = read(page.url)
        assert (before["worker_records_total", "dead-lettered"], before["worker_last_poll_timestamp_seconds",]) == (
            0,
            0,
        )
        before_the_run = time.time()
        worker.run(until=reading.at_the_end(worker.consumer))
        after = read(page.url)
    outcomes = {key[1]: value for key, value in after.items() if key[0] == "worker_records_total"}
    assert outcomes == {"handled": 4, "retried": 4, "paused": 0, "dead-lettered": 2, "skipped": 0}
    assert after["worker_errors_total", "TransientError"] == 2
    assert {key[1]: value for key, value in after.items() if key[0] == "worker_dead_letters_total"} == {
        "PermanentError": 1,
        "ValueError": 1,
    }
    assert after["worker_handling_seconds_count",] == len(tried) == 10
    assert after["worker_event_age_seconds_count",] == 4
    assert (after["worker_records_in_flight",], after["worker_assigned_partitions",]) == (0, 1)
    assert after["worker_commits_total", "committed"] >= 1
    assert after["worker_last_commit_timestamp_seconds",] >= before_the_run
    assert after["worker_last_poll_timestamp_seconds",] >= before_the_run


def test_a_record_older_than_every_limit_is_still_in_a_bucket(lab):
    """A day old: not beyond the last bucket, or a percentile would say nothing. One from the future is 0 s old."""
    day_ago, ahead = int((time.time() - 80_000) * 1000), int((time.time() + 3_000) * 1000)
    for written, bucket in ((day_ago, "86400.0"), (ahead, "0.01")):
        metrics = WorkerMetrics()
        worker = worker_of(lab, lambda record: None, [b"1"], metrics, written=written)
        worker.run(until=reading.at_the_end(worker.consumer))
        with metrics_page.serve(metrics.registry) as page:
            assert read(page.url)["worker_event_age_seconds_sum",] >= 0
            found = {
                key[1]: value for key, value in read(page.url).items() if key[0] == "worker_event_age_seconds_bucket"
            }
        assert next(edge for edge, count in found.items() if count == 1) == bucket
    assert AGE_BUCKETS[-1] == 7 * 86_400


def test_a_worker_that_stands_still_counts_nothing_and_answers(lab):
    """Its page is there, its counters stand, and one record stays in flight."""
    stuck, free = threading.Event(), threading.Event()

    def handle(record):
        if record.value == b"stuck":
            stuck.set()
            free.wait(300)

    metrics = WorkerMetrics()
    worker = worker_of(lab, handle, [b"1", b"stuck", b"2"], metrics)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    with metrics_page.serve(metrics.registry) as page:
        assert stuck.wait(300)
        first = read(page.url)
        second = read(page.url)
        assert first == second
        assert (second["worker_records_total", "handled"], second["worker_records_in_flight",]) == (1, 1)
        free.set()
        until(lambda: read(page.url)["worker_records_total", "handled"] == 3, 300, "the worker to go on")
        assert read(page.url)["worker_records_in_flight",] == 0
        worker.stop()
        thread.join(300)


# The page


def test_a_port_that_is_taken_is_named():
    """Also one that is no port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LabError, match=f"port {port}"), metrics_page.serve(CollectorRegistry(), port):
            pass
    with pytest.raises(LabError, match="port 70000"), metrics_page.serve(CollectorRegistry(), 70_000):
        pass


def test_a_page_is_on_this_machine_only():
    """Not for the network."""
    with metrics_page.serve(CollectorRegistry()) as page:
        assert page.url.startswith("http://127.0.0.1:")
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", page.port), timeout=300)


def test_asked_during_shutdown_it_answers_and_then_refuses(capfd):
    """The request in hand is answered, the next one refused; nothing is printed."""
    asked, go_on, answers = threading.Event(), threading.Event(), []

    class Slow:
        def collect(self):
            asked.set()
            go_on.wait(300)
            yield GaugeMetricFamily("slow", "A page that takes its time.", 1)

    registry = CollectorRegistry()
    registry.register(Slow())
    with metrics_page.serve(registry) as page:
        thread = threading.Thread(target=lambda: answers.append(read(page.url)))
        thread.start()
        assert asked.wait(300)
    with pytest.raises(urllib.error.URLError, match="refused"):
        read(page.url)
    go_on.set()
    thread.join(300)
    assert answers == [{("slow",): 1}]
    with metrics_page.serve(CollectorRegistry(), page.port):  # the port is free again
        pass
    assert capfd.readouterr().err == ""


def test_a_reader_that_leaves_in_the_middle_leaves_no_traceback(capfd):
    """Prometheus gives up after its time-out."""
    registry, metrics = CollectorRegistry(), WorkerMetrics()
    registry.register(metrics._age)
    with metrics_page.serve(registry) as page:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", page.port), timeout=300) as reader:
                reader.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert read(page.url)
    assert capfd.readouterr().err == ""
