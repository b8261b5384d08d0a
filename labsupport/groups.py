"""A group and its members as the broker knows them, in any group protocol.

kafka-python 3.0.12's admin client describes only classic groups: a KIP-848 or share group looks dead and empty to it
(not reported upstream that we found; confluent-kafka has it since 2.10). `protocol/` holds the missing requests.
"""

import re
from dataclasses import dataclass
from typing import Any

from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.errors import UnknownMemberIdError, for_code

from labsupport import protocol
from labsupport.errors import LabError

DESCRIBE = {"consumer": protocol.ConsumerGroupDescribeRequest, "share": protocol.ShareGroupDescribeRequest}
HEARTBEAT = {"consumer": protocol.ConsumerGroupHeartbeatRequest, "share": protocol.ShareGroupHeartbeatRequest}
LEAVES = -1  # the member epoch that means leaving
NO_GROUP = "Dead"  # the state of a group that does not exist


@dataclass(frozen=True)
class Member:
    """A member. `partitions` are the partition numbers that it owns, by topic; `instance` is its group.instance.id."""

    id: str
    client_id: str
    partitions: dict[str, list[int]]
    instance: str | None = None


@dataclass(frozen=True)
class Group:
    """A group at one moment. `kind` is classic, consumer (KIP-848), share or streams; `state` is Kafka's."""

    name: str
    kind: str
    state: str
    members: tuple[Member, ...]

    @property
    def stable(self) -> bool:
        """Whether no rebalance is going on."""
        return self.state == "Stable"

    @property
    def owners(self) -> dict[str, list[int]]:
        """By member (client_id), the numbers of the partitions that it owns."""
        return {
            member.client_id: sorted(number for numbers in member.partitions.values() for number in numbers)
            for member in sorted(self.members, key=lambda member: member.client_id)
        }


def describe(admin: KafkaAdminClient, name: str) -> Group:
    """Describe the group; a group that does not exist is Dead, without members.

    Raises LabError for a group of Kafka Streams' newer protocol, and the broker's KafkaError, such as
    CoordinatorLoadInProgressError from a broker that has just started.
    """
    described = admin.describe_groups([name])[name]
    if described["group_state"] != NO_GROUP:
        if error := re.match(r"\[Error (\d+)\]", described["error"] or ""):
            raise for_code(int(error[1]))(described["error"])
        return Group(name, "classic", described["group_state"], tuple(map(_classic, described["members"])))
    kinds = {each["group_id"]: str(each.get("group_type", "")).lower() for each in admin.list_groups()}
    kind = kinds.get(name, "classic")
    if kind == "classic":
        return Group(name, kind, NO_GROUP, ())
    if kind not in DESCRIBE:
        raise LabError(
            f"The lab cannot see who is in {name}.", f"it is a {kind} group", "stop the programs in it first"
        )
    response = _ask(admin, name, DESCRIBE[kind](group_ids=[name], include_authorized_operations=False))
    (found,) = response.groups
    if found.error_code:
        raise for_code(found.error_code)(found.error_message)
    return Group(name, kind, found.group_state, tuple(map(_newer, found.members)))


def remove_members(admin: KafkaAdminClient, group: Group) -> None:
    """Remove the members from the group, alive or not. A living one joins again. Committed offsets stay."""
    if group.kind == "classic" and group.members:
        admin.remove_group_members(group.name, [MemberToRemove(each.id, each.instance) for each in group.members])
    for member in group.members if group.kind in HEARTBEAT else ():
        instance = {"instance_id": member.instance} if group.kind == "consumer" else {}
        leaves = HEARTBEAT[group.kind](group_id=group.name, member_id=member.id, member_epoch=LEAVES, **instance)
        error = for_code(_ask(admin, group.name, leaves).error_code)
        if error.errno and error is not UnknownMemberIdError:  # it may have left meanwhile
            raise error(f"{member.client_id} in {group.name}")


def _ask(admin: KafkaAdminClient, group: str, request: Any) -> Any:
    """The response of the group's coordinator."""

    async def asked() -> Any:
        coordinator = await admin._find_coordinator_id(group)
        return await admin._manager.send(request, node_id=coordinator)

    return admin._manager.run(asked)


def _classic(member: dict[str, Any]) -> Member:
    assigned = member["member_assignment"]
    partitions = {each["topic"]: each["partitions"] for each in assigned["assigned_partitions"]} if assigned else {}
    return Member(member["member_id"], member["client_id"], partitions, member["group_instance_id"])


def _newer(member: Any) -> Member:
    partitions = {each.topic_name: list(each.partitions) for each in member.assignment.topic_partitions}
    return Member(member.member_id, member.client_id, partitions, getattr(member, "instance_id", None))
