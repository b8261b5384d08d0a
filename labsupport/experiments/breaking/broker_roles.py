"""Three brokers with known roles, each with a page of its own numbers: for experiments that freeze or kill one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka.admin import KafkaAdminClient, NewTopic

from labsupport.broker.cluster import Cluster
from labsupport.broker.embedded import EmbeddedBroker
from labsupport.broker.server_properties import STEADY
from labsupport.observability import jmx_agent
from labsupport.observability.jmx_agent import ACTIVE_CONTROLLER, FENCED, UNDER_REPLICATED
from labsupport.waiting import until

if TYPE_CHECKING:
    import pandas

__all__ = ["STEADY", "Three", "assign"]

CONTROLLER, LEADER, FOLLOWER = "controller", "leader", "follower"


@dataclass(frozen=True)
class Three:
    """Brokers and the URLs of their pages, by role: the active controller, the leader of the topic, its follower.

    The controller holds the third replica.
    """

    brokers: Mapping[str, EmbeddedBroker]
    pages: Mapping[str, str]

    def until_fenced(self, role: str) -> "pandas.DataFrame":
        """Wait until all others know that this broker is fenced, and one of them leads the topic without it.

        Returns the numbers of all pages, the fenced one's among them, as `jmx_agent.numbers` does.
        """
        others = [each for each in self.pages if each != role]
        return self._until(others, FOLLOWER if role == LEADER else LEADER, "1", f"the {role} to be fenced")

    def until_whole(self) -> "pandas.DataFrame":
        """Wait until no broker is fenced and the topic has all replicas in sync; returns the numbers of all pages.

        The leader must be the first one.
        """
        return self._until(list(self.pages), LEADER, "0", "all replicas to be in sync")

    def _until(self, roles: Sequence[str], leader: str, value: str, what: str) -> "pandas.DataFrame":
        """Wait until these pages say so. A page that a busy machine answers too late is asked again."""

        def met(asked: Iterable[str]) -> list["pandas.DataFrame"]:
            now = jmx_agent.numbers({role: self.pages[role] for role in asked})
            said = {now[leader][UNDER_REPLICATED], *(now[role][FENCED] for role in roles)}
            return [now] if said == {value} else []

        until(lambda: met(roles), 60, what, every=0.2)
        return until(lambda: met(self.pages), 60, what)[0]


def assign(kafka: Cluster, topic: str) -> Three:
    """Attach the JMX exporter to three brokers of the lab's own, and create `topic` there, with one partition.

    Make them with `lab.private(3, **broker_roles.STEADY)`. Raises LabError as `attach_all` does.
    """
    pages = jmx_agent.attach_all(kafka)

    def active() -> list[int]:
        now = jmx_agent.numbers(pages)
        return [number for number in pages if now[number][ACTIVE_CONTROLLER] == "1"]

    (controller,) = until(active, 60, "an active controller")
    leader, follower = (number for number in pages if number != controller)
    # The first replica leads, and after its death the next one that is in sync.
    placed = NewTopic(topic, replica_assignments={0: [leader, follower, controller]})
    kafka.ask(f"a topic {topic}", lambda admin: _create(admin, placed))
    roles = {CONTROLLER: controller, LEADER: leader, FOLLOWER: follower}
    three = Three(
        {role: kafka.broker(number) for role, number in roles.items()},
        {role: pages[number] for role, number in roles.items()},
    )
    three.until_whole()
    return three


def _create(admin: KafkaAdminClient, topic: NewTopic) -> None:
    admin.create_topics([topic])
    admin.wait_for_topics([topic.name])
