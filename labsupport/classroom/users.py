"""A learner's user on a Kafka: a password (SCRAM-SHA-512), rights to the own prefix, quotas. By standard requests only.

So it works on every Kafka that lets its administrator make users this way. Each step may be repeated.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError, NoError, for_code
from kafka.protocol.admin import AlterClientQuotasRequest

from labsupport.broker.advice import speaking
from labsupport.broker.cluster import Cluster
from labsupport.classroom.roster import NAME
from labsupport.errors import LabError
from labsupport.groups import remove_members

RESOURCES = (ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID)
# What every lesson needs; a runaway loop gets no more. The mutation rate is in topics and partitions a second, with ten
# times as many at once: below 10, the lessons would meet it.
QUOTAS = {
    "producer_byte_rate": 1_000_000.0,
    "consumer_byte_rate": 5_000_000.0,
    "request_percentage": 50.0,
    "controller_mutation_rate": 10.0,
}
CLASS_NEXT = "is it the file of an administrator? Its user needs the right to alter the cluster, or to be a super user"


@contextlib.contextmanager
def _administering(tried: str) -> Iterator[None]:
    """Turn an error of Kafka in the body of a `with` into a LabError that says what an administrator needs."""
    try:
        yield
    except KafkaError as error:
        raise LabError(tried, _said(str(error)) or type(error).__name__, CLASS_NEXT) from error


def _said(message: str) -> str:
    """Shorten Kafka's message, which is a dump of the request, to the right that is wanting."""
    found = re.search(r"needs (\w+) permission", message)
    return f"the user has no right to {found[1]} this cluster" if found else message


def prefix_of(name: str) -> str:
    """Return what the learner's topics, groups and transactional ids begin with."""
    return f"lab-{name}-"


def learner_of(resource: str) -> str:
    """Return the learner whose prefix the name of a topic or group begins with; empty if there is none."""
    found = re.match(rf"lab-({NAME.pattern})-", resource)
    return found[1] if found else ""


def existing(kafka: Cluster) -> list[str]:
    """Return the learners who have rights on this Kafka, sorted. Raises LabError if these cannot be read."""
    wanted = ACLFilter(
        None, None, ACLOperation.ANY, ACLPermissionType.ANY,
        ResourcePatternFilter(ResourceType.TOPIC, None, ACLResourcePatternType.PREFIXED),
    )  # fmt: skip
    with _administering("Could not read who has rights on this Kafka."):
        acls, error = kafka.admin().describe_acls(wanted)
        if error is not NoError:
            raise error
    found = {acl.principal.removeprefix("User:"): acl.resource_pattern.resource_name for acl in acls}
    return sorted(name for name, resource in found.items() if resource == prefix_of(name))


def grant(kafka: Cluster, passwords: Mapping[str, str], names: Sequence[str]) -> None:
    """Give these users these passwords, and all `names` their rights and quotas. Raises LabError if Kafka refuses."""
    admin = kafka.admin()
    credentials = [
        UserScramCredentialUpsertion(name, ScramMechanism.SCRAM_SHA_512, password)
        for name, password in passwords.items()
    ]
    with _administering("Could not make the class's users."):
        if credentials:
            _require(admin.alter_user_scram_credentials(credentials))
        if refused := admin.create_acls([acl for name in names for acl in _rights(name)])["failed"]:
            raise refused[0]
        _set_quotas(admin, names, QUOTAS)


def revoke(kafka: Cluster, name: str) -> None:
    """Take away quotas, rights and password. Harmless if there are none. Raises LabError if Kafka refuses."""
    admin = kafka.admin()
    with _administering(f"Could not remove the user {name}."):
        deletion = [UserScramCredentialDeletion(name, ScramMechanism.SCRAM_SHA_512)]
        told = admin.alter_user_scram_credentials(deletion)
        _require({user: said for user, said in told.items() if "does not exist" not in (said or "")})
        filters = [
            ACLFilter(
                f"User:{name}", None, ACLOperation.ANY, ACLPermissionType.ANY,
                ResourcePatternFilter(kind, prefix_of(name), ACLResourcePatternType.PREFIXED),
            )
            for kind in RESOURCES
        ]  # fmt: skip
        for _, _, error in admin.delete_acls(filters):
            if error is not NoError:
                raise error
        _set_quotas(admin, [name], dict.fromkeys(QUOTAS))


def delete_all(kafka: Cluster, name: str, keep: Iterable[str] = ()) -> tuple[int, int]:
    """Delete the learner's topics, but for those in `keep`, and groups; return how many there were of each."""
    prefix = prefix_of(name)
    groups = kafka.groups(prefix)
    topics = [each for each in kafka.topics(prefix) if each not in keep]
    admin = kafka.admin()
    with speaking(f"Could not delete what {name} has left."):
        for group in groups:
            remove_members(admin, kafka.describe(group))
        if groups:
            admin.delete_groups(groups)
        if topics:
            admin.delete_topics(topics)
    return len(topics), len(groups)


def _rights(name: str) -> list[ACL]:
    return [
        ACL(
            f"User:{name}", "*", ACLOperation.ALL, ACLPermissionType.ALLOW,
            ResourcePattern(kind, prefix_of(name), ACLResourcePatternType.PREFIXED),
        )
        for kind in RESOURCES
    ]  # fmt: skip


def _require(told: Mapping[str, str | None]) -> None:
    """Raise LabError if an answer for a user is an error."""
    if refused := {user: said for user, said in told.items() if said}:
        user, said = next(iter(refused.items()))
        raise LabError(f"Kafka refuses to change the user {user!r}.", _said(said or ""), CLASS_NEXT)


def _set_quotas(admin: KafkaAdminClient, names: Sequence[str], quotas: Mapping[str, float | None]) -> None:
    """Set quotas, or remove those that are None. No client has a method for it, so the request is made here."""
    entry = AlterClientQuotasRequest.EntryData
    entries = [
        entry(
            entity=[entry.EntityData(entity_type="user", entity_name=name)],
            ops=[entry.OpData(key=key, value=value or 0.0, remove=value is None) for key, value in quotas.items()],
        )
        for name in names
    ]
    request = AlterClientQuotasRequest(entries=entries, validate_only=False)
    for answer in admin._manager.run(admin._manager.send, request).entries:
        if answer.error_code:
            raise for_code(answer.error_code)(answer.error_message)
