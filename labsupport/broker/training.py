"""The training run that makes the start-up cache, in a process of its own: `python -m labsupport.broker.training`.

It starts a private broker that notes which classes it loads, lets a producer and a group use it for a moment, and
stops it; Java then writes the cache, in about 8 s. The first broker does not wait for this: it starts without.
"""

import contextlib
import os
import sys

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from labsupport.base import LabError, Settings, only_one
from labsupport.broker.embedded import EmbeddedCluster
from labsupport.broker.process import Process, marks, write_atomically
from labsupport.broker.runtime import Runtime, prepare


def needed(runtime: Runtime) -> bool:
    """Whether there is no start-up cache yet and no earlier attempt that failed on this machine."""
    cache = runtime.startup_cache
    return not cache.exists() and not cache.with_suffix(".failed").exists()


def start_in_background(runtime: Runtime) -> Process | None:
    """Start a training run if one is needed, and return at once. A second one that starts meanwhile ends by itself."""
    if not needed(runtime):
        return None
    settings = runtime.settings
    return Process.start(
        "the training run for the start-up cache",
        [sys.executable, *(word for mark in marks(settings, "training") for word in ("-X", mark)), "-m", __spec__.name],
        settings.cache / "training.log",
        cwd=settings.cache,
        env={"LAB_HOME": str(settings.home), "LAB_CACHE": str(settings.cache)},
    )


def train(settings: Settings) -> None:
    """Make the start-up cache. What fails is remembered in a file beside it, so that it is not tried at each start."""
    runtime = prepare(settings)
    cache = runtime.startup_cache
    with only_one(cache.with_suffix(".lock"), "its training run", timeout=60):
        if not needed(runtime):
            return
        scratch = cache.with_suffix(".new")
        scratch.unlink(missing_ok=True)
        cluster = EmbeddedCluster(cache.with_suffix(".training"), runtime, role="training")
        try:
            cluster.start(training=scratch)
            _exercise(cluster.bootstrap)
            cluster.brokers[0].process.stop(120)
            scratch.replace(cache)
        except (LabError, OSError) as error:
            write_atomically(cache.with_suffix(".failed"), f"{error}\n")
            raise
        finally:
            cluster.destroy()
            scratch.unlink(missing_ok=True)


def _exercise(bootstrap: str) -> None:
    """What the first minute of a lesson does, so that its classes are in the cache too."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic("training", num_partitions=3, replication_factor=1)])
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for number in range(30):
        producer.send("training", key=str(number).encode(), value=b"event")
    producer.flush(timeout=10)
    producer.close(timeout=10)
    consumer = KafkaConsumer("training", bootstrap_servers=bootstrap, group_id="training", auto_offset_reset="earliest")
    consumer.poll(timeout_ms=5000)
    consumer.commit(timeout_ms=5000)
    consumer.close()
    admin.delete_groups(["training"])
    admin.delete_topics(["training"])
    admin.close()


if __name__ == "__main__":
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)  # the learner's first lesson goes first
    train(Settings.from_environment())
