"""Whether a Kafka accepts sessions as short as the lessons' (`group.min.session.timeout.ms`).

By default a broker refuses less than 6 s, and a client usually may not read its settings: so it is tried.
"""

from functools import partial

from kafka.errors import InvalidSessionTimeoutError, KafkaError, MemberIdRequiredError, for_code
from kafka.protocol.admin import DeleteGroupsRequest
from kafka.protocol.consumer import JoinGroupRequest
from kafka.protocol.metadata import FindCoordinatorRequest

from labsupport.broker.channel import exchange
from labsupport.broker.metadata import reach
from labsupport.connection import Connection
from labsupport.console import note
from labsupport.kafka_fixes import COORDINATOR_COMES
from labsupport.settings import Settings
from labsupport.waiting import until

SECONDS = 15.0  # for one answer
SHORTEST = 1_000  # ms; the lab's own broker takes it


def for_short_sessions(settings: Settings) -> Settings:
    """Return these settings; those of the lab's own broker, with a note, if their Kafka refuses a session of 1 s.

    Raises LabError if that Kafka does not answer.
    """
    if settings.embedded:
        return settings
    connection = reach(settings.connection)
    if takes(connection, f"{settings.prefix}00-probe"):
        return settings
    refuses = f"The Kafka at {connection.bootstrap} refuses sessions of {SHORTEST / 1000:g} s"
    note(f"{refuses}, which members here have: this runs on a broker of the lab's own, on this computer.")
    return settings.on_own_broker()


def takes(connection: Connection, group: str, milliseconds: int = SHORTEST) -> bool:
    """Whether a member with this session timeout may join `group`. It does not: it only asks for an id."""
    asked = partial(_answer, connection, group, milliseconds)
    refused = until(asked, 30, "the coordinator of the group") or KafkaError
    if refused not in (MemberIdRequiredError, InvalidSessionTimeoutError):
        raise refused(group)
    return refused is MemberIdRequiredError


def _answer(connection: Connection, group: str, milliseconds: int) -> type[KafkaError] | None:
    """What the coordinator says to a new member; None while there is none: Kafka makes a topic for the first group."""
    request = FindCoordinatorRequest[3](key=group, key_type=0)
    found = exchange(*connection.addresses[0], request, SECONDS, connection)
    if found.error_code:
        said = for_code(found.error_code)
    else:
        protocol = JoinGroupRequest.JoinGroupRequestProtocol(name="range", metadata=b"")
        join = JoinGroupRequest[5](
            group_id=group,
            session_timeout_ms=milliseconds,
            rebalance_timeout_ms=milliseconds,
            member_id="",
            group_instance_id=None,
            protocol_type="consumer",
            protocols=[protocol],
        )
        said = for_code(exchange(found.host, found.port, join, SECONDS, connection).error_code)
        # The group has no member yet, but it is there.
        exchange(found.host, found.port, DeleteGroupsRequest[1](groups_names=[group]), SECONDS, connection)
    return None if said in COORDINATOR_COMES else said
