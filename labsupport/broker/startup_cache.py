"""The training run that makes the start-up cache, in a process of its own: `python -m labsupport.broker.startup_cache`.

It starts a private broker that records which classes it loads, uses it with a producer and a group for a moment, and
stops it; Java then writes the cache, in about 6 s. The first broker does not wait: it starts without a cache.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

from labsupport.broker import processes
from labsupport.broker.embedded import EmbeddedCluster
from labsupport.broker.java_runtime import Runtime, install, intact, prepare
from labsupport.broker.process import Process, write_atomically
from labsupport.broker.processes import python_marks
from labsupport.broker.server_properties import Access
from labsupport.connection import Secret
from labsupport.errors import LabError
from labsupport.settings import Settings
from labsupport.waiting import only_one

RETRY_AFTER = 3600  # seconds until a failed attempt is repeated


def needed(runtime: Runtime) -> bool:
    """Return whether there is no intact start-up cache, and no attempt failed in the last hour."""
    if intact(runtime.startup_cache):
        return False
    try:
        return time.time() - runtime.startup_cache.with_suffix(".failed").stat().st_mtime > RETRY_AFTER
    except OSError:
        return True


def start_in_background(runtime: Runtime) -> Process | None:
    """Start a training run if one is needed, and return at once. A second one ends by itself."""
    if runtime.trained or not needed(runtime):
        return None
    settings = runtime.settings
    processes.register(settings, uses=True)  # it ends with the last program that uses the broker
    return Process.start(
        "the training run for the start-up cache",
        [sys.executable, *python_marks(settings, "training"), "-m", "labsupport.broker.startup_cache"],
        settings.cache / "training.log",
        cwd=settings.cache,
        env={"LAB_HOME": str(settings.home), "LAB_CACHE": str(settings.cache)},
    )


def train(settings: Settings, patience: float = 120) -> None:
    """Make the start-up cache if it is needed. A failure is recorded beside it, and prevents attempts for an hour.

    Raises LabError, for example if Java has not written the cache within `patience` seconds.
    """
    runtime = prepare(settings)
    cache = runtime.startup_cache
    with only_one(cache.with_suffix(".lock"), "its training run", timeout=60):
        if not needed(runtime):
            return
        scratch = cache.with_suffix(".new")
        access = Access("lab", Secret("training"))  # so that the cache has what a password takes, too
        cluster = EmbeddedCluster(cache.with_suffix(".training"), runtime, role="training-broker", access=access)
        cluster.destroy()  # left by a killed training run
        try:
            cluster.start(training=scratch)
            _exercise(cluster.connection.kafka_python())
            if process := cluster.brokers[0].process:
                process.stop(patience)
            _require_written(scratch, patience)
            install(scratch, cache)
        except (LabError, KafkaError, OSError) as error:
            write_atomically(cache.with_suffix(".failed"), f"{error}\n")
            raise
        finally:
            cluster.destroy()
            for left_over in (scratch, scratch.with_suffix(".new.config")):
                left_over.unlink(missing_ok=True)


def _require_written(scratch: Path, patience: float) -> None:
    if not scratch.exists():
        raise LabError(
            "Java did not write the start-up cache.",
            f"it was stopped after {patience:g} s; the machine was busy, or its memory too small",
            "python3 lab.py prepare  (tries again); the lab works without, and starts more slowly",
        )


def _exercise(connection: dict[str, Any]) -> None:
    """Do what the first minute of a lesson does, so that the cache has its classes too."""
    admin = KafkaAdminClient(**connection)
    admin.create_topics([NewTopic("training", num_partitions=3, replication_factor=1)])
    producer = KafkaProducer(**connection)
    for number in range(30):
        producer.send("training", key=str(number).encode(), value=b"event")
    producer.flush(timeout=10)
    producer.close(timeout=10)
    consumer = KafkaConsumer("training", group_id="training", auto_offset_reset="earliest", **connection)
    consumer.poll(timeout_ms=5000)
    consumer.commit(timeout_ms=5000)
    consumer.close()
    admin.delete_groups(["training"])
    admin.delete_topics(["training"])
    admin.close()


def _end(*_: object) -> None:
    """Turn a signal to stop into an exception, so that the broker stops and scratch files are removed."""
    sys.exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)  # the learner's first lesson goes first
    train(Settings.from_environment())
