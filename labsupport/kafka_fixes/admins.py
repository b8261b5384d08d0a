"""A workaround for admin clients: the coordinator of a cluster's first group."""

from collections.abc import Iterable
from typing import Any

from kafka.admin import KafkaAdminClient
from kafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError, for_code
from kafka.protocol.metadata import CoordinatorType
from kafka.util import Timer

# What a broker answers about a group whose coordinator is not ready yet.
COORDINATOR_COMES = (CoordinatorNotAvailableError, NotCoordinatorError, CoordinatorLoadInProgressError)


def await_coordinators(admin: KafkaAdminClient, at_most_ms: float = 30_000) -> KafkaAdminClient:
    """Search for a coordinator until it is ready; returns the client. After `at_most_ms` its error comes out.

    Fault (3.0.12): a cluster makes a topic for its first group, and answers meanwhile that there is no coordinator,
    then that it is another broker or still loads. A consumer asks again; the admin client raises the first error, and
    puts the others into what `alter_group_offsets` returns. Java's client asks again. Not reported that we found.
    """
    search = admin._find_coordinator_ids

    async def persistent(keys: Iterable[str], key_type: CoordinatorType = CoordinatorType.GROUP) -> dict[str, Any]:
        names, timer = list(keys), Timer(at_most_ms)
        new = [name for name in names if admin._manager.cluster.get_coordinator(name, key_type) is None]
        while True:
            last = timer.expired
            try:
                found = await search(names, key_type)
                if key_type == CoordinatorType.GROUP:
                    await _require_ready(admin, {name: found[name] for name in new})
                return found
            except COORDINATOR_COMES:
                if last:
                    raise
            await admin._manager._net.sleep(admin.config["retry_backoff_ms"] / 1000)

    admin._find_coordinator_ids = persistent
    return admin


async def _require_ready(admin: KafkaAdminClient, found: dict[str, Any]) -> None:
    """Raise one of COORDINATOR_COMES if a group's coordinator answers it to a question about the group."""
    for coordinator in set(found.values()):
        groups = [name for name, its in found.items() if its == coordinator]
        response = await admin._manager.send(admin._describe_groups_request(groups), node_id=coordinator)
        for group in response.groups:
            error = for_code(group.error_code)
            if error in COORDINATOR_COMES:
                del admin._manager.cluster._coordinators[CoordinatorType.GROUP, group.group_id]
                raise error(group.group_id)
