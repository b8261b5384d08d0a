"""Two stories of brokers that go and come back: who may lead a partition then, and what a group notices. Lesson 18."""

from typing import TYPE_CHECKING

from labsupport.broker.cluster import Cluster
from labsupport.experiments.breaking.outages import Readers, Sender, values, when

if TYPE_CHECKING:
    import pandas

PLACED = {"frozen": (1, 2), "killed": (1, 3), "stopped": (2, 3)}  # the topic's leader and follower


def first_back(kafka: Cluster) -> "pandas.DataFrame":
    """A topic's only follower goes, its leader is stopped, and the follower comes back: who leads then.

    A row for each way in which the follower went: its number; the eligible leader replicas (ELR) without it; who leads
    when it is back; what is in the log when all are back. min.insync.replicas is 2. `kafka` needs three brokers with a
    controller of its own.
    """
    import pandas

    topics: dict[str, str] = {}
    found: dict[str, list[object]] = {}

    def make(way: str) -> None:
        topic = kafka.create_topic(f"{kafka.prefix}18-{way}", replicas=PLACED[way], min_insync_replicas=2)
        Sender(kafka, topic).write("a")
        topics[way], found[way] = topic, [PLACED[way][1]]

    def without_it(way: str) -> None:
        found[way] += when(kafka, topics[way], lambda now: len(now.isr) == 1).elr

    make("frozen")
    make("killed")
    kafka.broker(2).pause()
    kafka.broker(3).kill()
    without_it("frozen")
    without_it("killed")
    kafka.broker(1).stop()
    kafka.broker(2).resume()
    kafka.broker(3).start()
    found["frozen"].append(when(kafka, topics["frozen"], lambda now: now.leader not in (None, 1)).leader)
    # A killed replica leaves the ELR when it registers again.
    found["killed"].append(when(kafka, topics["killed"], lambda now: 3 not in now.elr and now.leader != 1).leader)

    make("stopped")
    kafka.broker(3).stop()
    without_it("stopped")
    kafka.broker(2).stop()
    kafka.broker(3).start()
    found["stopped"].append(when(kafka, topics["stopped"], lambda now: now.leader not in (None, 2)).leader)

    for number in (1, 2):
        kafka.broker(number).start()
    for way, topic in topics.items():
        when(kafka, topic, lambda now: now.whole)
        Sender(kafka, topic, name="last").write("b")  # in sync: all before it can be read now
        found[way].append(" ".join(values(kafka, topic)))
    columns = ["follower", "ELR without it", "leader when it is back", "log in the end"]
    rows = {way: ["nobody" if each is None else each for each in row] for way, row in found.items()}
    return pandas.DataFrame.from_dict(rows, "index", columns=columns)


def coordinator_dies(kafka: Cluster) -> str:
    """Two members share two partitions; the broker that coordinates them is killed, and five records are sent.

    Says whether they kept their partitions, how often the group rebalanced, and which records came.
    """
    topic = kafka.create_topic(f"{kafka.prefix}18-calm", partitions=2, replicas=(1, 2, 3))
    sender = Sender(kafka, topic)
    with Readers(kafka, topic, f"{kafka.prefix}18-calm") as readers:
        before, generation = readers.partitions, readers.generation
        kafka.broker(readers.coordinator).kill()
        sender.send(*"12345")
        readers.until_got(5)
        kept, rebalances = readers.partitions == before, readers.generation - generation
    return f"the same partitions: {kept} · rebalances: {rebalances} · got: {' '.join(sorted(readers.got))}"
