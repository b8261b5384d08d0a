"""Send one event and receive it: the check that `lab.py` makes before it opens a notebook."""

import time
import uuid

from labsupport.broker.cluster import Cluster
from labsupport.errors import LabError
from labsupport.waiting import until

RETRY = "try again; if that fails: python3 lab.py down, then python3 lab.py"


def round_trip(cluster: Cluster) -> float:
    """Send one event through a topic of its own, read it in a group, and delete both; returns the seconds it took.

    Raises LabError if the event does not come back.
    """
    begin = time.monotonic()
    name = f"{cluster.prefix}00-proof-{uuid.uuid4().hex[:8]}"
    topic = cluster.create_topic(name)
    try:
        event = uuid.uuid4().bytes
        producer = cluster.producer(name="proof-producer")
        producer.send(topic, event).get(timeout=10)
        consumer = cluster.consumer(topic, name="proof-consumer", group_id=name, auto_offset_reset="earliest")
        came = until(lambda: consumer.poll(timeout_ms=200), 15, "the event to come back", next_step=RETRY)
        values = [record.value for records in came.values() for record in records]
        if values != [event]:
            raise LabError("Sent one event and read it back.", f"it received something else: {values}")
        return time.monotonic() - begin
    finally:
        cluster.close_client("proof-producer")
        cluster.close_client("proof-consumer")
        cluster.delete_groups([name])
        cluster.delete_topics([topic])
