"""A group and its members as the broker knows them, whichever protocol they speak.

kafka-python's admin client describes groups of the classic protocol only: a KIP-848 group looks dead and empty to it.
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
LEAVES = -1  # the epoch with which a member says that it leaves
NO_GROUP = "Dead"  # the state of a group that does not exist


@dataclass(frozen=True)
class Member:
    """One member. `partitions` are the numbers that it owns, by topic; `instance` is its group.instance.id."""

    id: str
    client_id: str
    partitions: dict[str, list[int]]
    instance: str | None = None


@dataclass(frozen=True)
class Group:
    """A group at one moment. `kind` is classic, consumer (KIP-848), share or streams; `state` is Kafka's own word."""

    name: str
    kind: str
    state: str
    members: tuple[Member, ...]

    @property
    def stable(self) -> bool:
        """Whether nobody joins, leaves or is given partitions at this moment."""
        return self.state == "Stable"

    @property
    def owners(self) -> dict[str, list[int]]:
        """By the members' names (their client_id), the numbers of the partitions that they own."""
        return {
            member.client_id: sorted(number for numbers in member.partitions.values() for number in numbers)
            for member in sorted(self.members, key=lambda member: member.client_id)
        }


def describe(admin: KafkaAdminClient, name: str) -> Group:
    """The group of that name; one that does not exist is Dead, without members.

    Raises LabError for a group of Kafka Streams' newer protocol, and the KafkaError that the broker answers, such as
    CoordinatorLoadInProgressError from one that has just started.
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
    """Take the members out of the group, alive or not; one that lives joins again. What is committed stays."""
    if group.kind == "classic" and group.members:
        admin.remove_group_members(group.name, [MemberToRemove(each.id, each.instance) for each in group.members])
    for member in group.members if group.kind in HEARTBEAT else ():
        instance = {"instance_id": member.instance} if group.kind == "consumer" else {}
        leaves = HEARTBEAT[group.kind](group_id=group.name, member_id=member.id, member_epoch=LEAVES, **instance)
        error = for_code(_ask(admin, group.name, leaves).error_code)
        if error.errno and error is not UnknownMemberIdError:  # it may have left by itself meanwhile
            raise error(f"{member.client_id} in {group.name}")


def _ask(admin: KafkaAdminClient, group: str, request: Any) -> Any:
    """What the group's coordinator answers."""

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
