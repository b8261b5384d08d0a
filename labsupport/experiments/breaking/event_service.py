"""A service that is told by events: the same handler as an `http_service`, behind a worker. Lesson 15."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from labsupport.broker.cluster import Cluster
from labsupport.connection import Connection
from labsupport.delivery.catch_up import event_in
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.reading import READS
from labsupport.delivery.retry import Policy
from labsupport.delivery.worker import Worker
from labsupport.experiments.breaking import forkserver, members
from labsupport.experiments.breaking.python_process import ChildProcess
from labsupport.experiments.breaking.service_process import SECONDS, ServiceProcess, Work, require_alive
from labsupport.experiments.watching import balance, log
from labsupport.shop.event import Event
from labsupport.waiting import until

# Only transient errors are expected, so there are no dead letters; a partition that waits is looked at every 0.2 s.
SOON = Policy(wait_initial=0.01, wait_max=0.01)


class EventService(ServiceProcess):
    """The service as a process: the one member of its new group, which reads `topic` from the beginning."""

    def __init__(self, name: str, database: Path, *, kafka: Cluster, topic: str, group: str, **work: Any):
        super().__init__(name, database, **work)
        self.kafka, self.topic, self.group = kafka, topic, group
        kafka.delete_groups([group])

    @property
    def committed(self) -> int:
        """The group's committed offset in partition 0; 0 if it has committed nothing."""
        return log.committed(self.kafka, self.topic, self.group).get(0, 0)

    def until_done(self, event: Event) -> float:
        """Wait until the event is handled; returns when it was, as `done` does. Raises LabError after SECONDS."""
        until(lambda: event.event_id in self.done, SECONDS, f"{self.name} to handle {event.event_id}", every=0.002)
        return self.done[event.event_id]

    def sheet(self) -> balance.Sheet:
        """What became of the topic's events, once it has committed them all. Raises LabError after SECONDS."""
        _, ends = log.bounds(self.kafka, self.topic)
        until(lambda: self.committed >= ends[0], SECONDS, f"{self.name} to commit offset {ends[0]}")
        return balance.read(self.kafka, self.topic, self.group, self.database)

    def _launch(self) -> AbstractContextManager[ChildProcess]:
        arguments = (self.kafka.connection, self.kafka.prefix, self.topic, self.group, self.work)
        return forkserver.shared().start(_consume, *arguments, name=f"the service {self.name}")

    def _until_ready(self, child: ChildProcess) -> None:
        until(lambda: require_alive(child) and members.owners(self.kafka, self.group), 60, f"{self.name} to join")


def _consume(connection: Connection, prefix: str, topic: str, group: str, work: Work) -> None:
    """In the service's process: handle events until it is killed."""
    with Cluster(connection, prefix=prefix) as kafka:
        # A static member gets its partition back at once when it is started again.
        settings = READS | {"group_id": group, "group_instance_id": group, "max_poll_records": 1}
        consumer = kafka.consumer(topic, name=group, **settings)
        handler = ErrorHandler(kafka.producer(name="dead-letters"), SOON)
        Worker(consumer, work, decode=event_in, error_handler=handler).run()
