"""Jobs done by members of a share group: what lesson 16 says of such groups beside its experiment."""

import contextlib
import json

import pytest
from confluent_kafka import AcknowledgeType

from labsupport.experiments.breaking import change_capture, job_members, json_records
from labsupport.waiting import until

GROUP = "97-jobs"
KINDS = ["mail", "picture", "bill"]
JOBS = [f"{kind} {number}" for number in (1, 2) for kind in KINDS]


def acknowledging(consumer, do):
    """A member's turn: each record is done, and acknowledged by itself."""
    for message in consumer.poll(timeout=0.1):
        do(message.value().decode())
        consumer.acknowledge(message)
        consumer.commit_sync()


def by_kind(job):
    """A partition for each kind."""
    return {"partition": KINDS.index(job.split()[0])}


def test_with_as_many_partitions_as_members_none_is_shared(cluster):
    """So the second bill waits behind the first, as in any group; with one partition it does not."""
    three = cluster.create_topic("97-jobs", 3)
    done = job_members.done_meanwhile(
        cluster, three, GROUP, acknowledging, JOBS, by_kind, slow="bill 1", share=True
    )  # fmt: skip
    assert sorted(done) == ["mail 1", "mail 2", "picture 1", "picture 2"]
    one = cluster.create_topic("97-jobs")
    done = job_members.done_meanwhile(cluster, one, GROUP, acknowledging, JOBS, slow="bill 1", share=True)
    assert sorted(done) == sorted({*JOBS} - {"bill 1"})


def test_a_record_is_delivered_five_times_and_then_to_nobody(cluster):
    """It is gone without a dead letter: those behind it are delivered."""
    topic = cluster.create_topic("97-jobs")
    cluster.delete_groups([GROUP])
    json_records.send(cluster, topic, ["fails", "works"])
    seen = []
    with contextlib.closing(job_members.share_consumer(cluster, topic, GROUP, "A")) as consumer:

        def finished() -> bool:
            for message in consumer.poll(timeout=0.2):
                seen.append((json.loads(message.value()), message.delivery_count()))
                kind = AcknowledgeType.RELEASE if seen[-1][0] == "fails" else AcknowledgeType.ACCEPT
                consumer.acknowledge(message, kind)
                consumer.commit_sync()
            return ("works", 1) in seen and ("fails", 5) in seen

        until(finished, 300, "five deliveries")
        json_records.send(cluster, topic, ["behind"])
        until(lambda: finished() and ("behind", 1) in seen, 300, "the record behind")
    assert max(count for what, count in seen if what == "fails") == 5


def test_what_a_turn_raises_comes_out(cluster):
    """Instead of a wait for jobs that nobody does."""

    def breaks(consumer, do):
        raise KeyError("a mistake in the turn")

    topic = cluster.create_topic("97-jobs", 3)
    with pytest.raises(KeyError, match="a mistake in the turn"):
        job_members.done_meanwhile(cluster, topic, GROUP, breaks, JOBS, by_kind)


def test_each_changed_row_is_published_once_as_it_is_then(cluster):
    """Inserted, updated, and updated to the same; with the columns of the moment."""
    topic = cluster.create_topic("97-rows")
    table = change_capture.CapturedTable(cluster, topic, "sales", "order_id TEXT, status TEXT")
    table.execute("INSERT INTO sales VALUES ('ORD-1', 'NEW'), ('ORD-2', 'NEW')")
    table.execute("UPDATE sales SET status = 'PAID' WHERE order_id = 'ORD-2'")
    table.execute("ALTER TABLE sales RENAME COLUMN status TO state")
    table.execute("UPDATE sales SET state = state WHERE order_id = 'ORD-1'")
    assert json_records.read(cluster, topic) == [
        {"order_id": "ORD-1", "status": "NEW"},
        {"order_id": "ORD-2", "status": "NEW"},
        {"order_id": "ORD-2", "status": "PAID"},
        {"order_id": "ORD-1", "state": "NEW"},
    ]
