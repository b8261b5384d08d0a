"""A group and its members as the broker knows them, in any group protocol.

kafka-python 3.0.12's admin client describes only classic groups: a KIP-848 or share group looks dead and empty to it
(not reported upstream that we found; confluent-kafka has it since 2.10). `protocol/` holds the missing requests.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.errors import GroupIdNotFoundError, UnknownMemberIdError, for_code

from labsupport import protocol
from labsupport.errors import LabError

DESCRIBE = {"consumer": protocol.ConsumerGroupDescribeRequest, "share": protocol.ShareGroupDescribeRequest}
HEARTBEAT = {"consumer": protocol.ConsumerGroupHeartbeatRequest, "share": protocol.ShareGroupHeartbeatRequest}
LEAVES = -1  # the member epoch that means leaving
NOT_CONSUMING = "classic, but not of consumers"
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
        return _classic_group(name, described)
    kinds = {each["group_id"]: str(each.get("group_type", "")).lower() for each in admin.list_groups()}
    kind = kinds.get(name, "classic")
    if kind == "classic":
        return Group(name, kind, NO_GROUP, ())
    if kind not in DESCRIBE:
        raise LabError(
            f"The lab cannot see who is in {name}.", f"it is a {kind} group", "stop the programs in it first"
        )
    (found,) = _describe_newer(admin, kind, [name])
    return found


def describe_all(admin: KafkaAdminClient) -> list[Group]:
    """Describe every group of the cluster, sorted by name; a request per broker, kind and coordinator.

    Members of a group that does not consume, such as Kafka Connect's workers, own no partitions. Of Kafka Streams'
    newer protocol only name and state are known. Raises KafkaError as `describe`.
    """
    kinds: dict[str, list[str]] = {}
    groups = {}
    for each in admin.list_groups():
        name, kind = each["group_id"], str(each.get("group_type", "")).lower() or "classic"
        if kind == "classic" and each["protocol_type"] not in ("consumer", ""):
            kind = NOT_CONSUMING
        kinds.setdefault(kind, []).append(name)
        groups[name] = Group(name, kind, each.get("group_state", ""), ())
    # Fault (3.0.12): describe_groups raises ValueError at what members of another kind of group tell each other.
    for found in _of_coordinators(admin, kinds.get(NOT_CONSUMING, []), admin._describe_groups_request):
        members = (Member(each.member_id, each.client_id, {}, each.group_instance_id) for each in found.members)
        groups[found.group_id] = Group(found.group_id, "classic", found.group_state, tuple(members))
    if names := kinds.get("classic"):
        for name, described in admin.describe_groups(names).items():
            groups[name] = _classic_group(name, described)
    for kind in DESCRIBE.keys() & kinds.keys():
        groups |= {group.name: group for group in _describe_newer(admin, kind, kinds[kind])}
    return [groups[name] for name in sorted(groups)]


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


def _describe_newer(admin: KafkaAdminClient, kind: str, names: list[str]) -> list[Group]:
    def request(some: list[str]) -> Any:
        return DESCRIBE[kind](group_ids=some, include_authorized_operations=False)

    return [_newer_group(kind, each) for each in _of_coordinators(admin, names, request)]


def _of_coordinators(admin: KafkaAdminClient, names: list[str], request: Callable[[list[str]], Any]) -> list[Any]:
    """What each coordinator answers about its groups among these, to `request(names)`."""
    by_coordinator: dict[int, list[str]] = {}

    async def coordinators() -> Any:
        return await admin._find_coordinator_ids(names)

    for name, coordinator in (admin._manager.run(coordinators) if names else {}).items():
        by_coordinator.setdefault(coordinator, []).append(name)
    return [each for some in by_coordinator.values() for each in _ask(admin, some[0], request(some)).groups]


def _newer_group(kind: str, described: Any) -> Group:
    error = for_code(described.error_code)
    if error is GroupIdNotFoundError:
        return Group(described.group_id, kind, NO_GROUP, ())  # deleted since it was listed
    if error.errno:
        raise error(described.error_message)
    return Group(described.group_id, kind, described.group_state, tuple(map(_newer, described.members)))


def _ask(admin: KafkaAdminClient, group: str, request: Any) -> Any:
    """The response of the group's coordinator."""

    async def asked() -> Any:
        coordinator = await admin._find_coordinator_id(group)
        return await admin._manager.send(request, node_id=coordinator)

    return admin._manager.run(asked)


def _classic_group(name: str, described: dict[str, Any]) -> Group:
    if described["group_state"] != NO_GROUP and (error := re.match(r"\[Error (\d+)\]", described["error"] or "")):
        raise for_code(int(error[1]))(described["error"])
    return Group(name, "classic", described["group_state"], tuple(map(_classic, described["members"])))


def _classic(member: dict[str, Any]) -> Member:
    assigned = member["member_assignment"]
    partitions = {each["topic"]: each["partitions"] for each in assigned["assigned_partitions"]} if assigned else {}
    return Member(member["member_id"], member["client_id"], partitions, member["group_instance_id"])


def _newer(member: Any) -> Member:
    partitions = {each.topic_name: list(each.partitions) for each in member.assignment.topic_partitions}
    return Member(member.member_id, member.client_id, partitions, getattr(member, "instance_id", None))
