"""Ask nodes for metadata, as every Kafka client does first, and find those that answer.

It uses a blocking socket (`channel.py`), because a client that cannot connect keeps a thread that retries.
"""

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from kafka.protocol.admin import DescribeQuorumRequest
from kafka.protocol.metadata import MetadataRequest

from labsupport.broker.channel import exchange
from labsupport.connection import PLAIN, Connection
from labsupport.errors import LabError, NotKafkaError, RefusedError
from labsupport.waiting import until

VERSION = 5  # of the metadata request; brokers from Kafka 1.0 to 4.x support it


@dataclass(frozen=True)
class Metadata:
    """The cluster as one broker describes it: its id, and each broker's advertised host and port."""

    cluster_id: str
    brokers: dict[int, tuple[str, int]]


def in_use(port: int) -> bool:
    """Whether something listens at this port of this machine, whatever it speaks."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(host: str, port: int, timeout: float = 2.0, connection: Connection = PLAIN) -> Metadata:
    """Ask one address for the brokers. Raises as `exchange` does."""
    request = MetadataRequest[VERSION](topics=[], allow_auto_topic_creation=False)
    metadata = exchange(host, port, request, timeout, connection)
    return Metadata(metadata.cluster_id, {b.node_id: (b.host, b.port) for b in metadata.brokers})


def active_controller(host: str, port: int, timeout: float = 2.0, connection: Connection = PLAIN) -> int:
    """Ask a controller, at its own port, which one leads the quorum; -1 if none. Raises as `exchange` does."""
    topic = DescribeQuorumRequest.TopicData
    asked = topic(topic_name="__cluster_metadata", partitions=[topic.PartitionData(partition_index=0)])
    answer = exchange(host, port, DescribeQuorumRequest[0](topics=[asked]), timeout, connection)
    return answer.topics[0].partitions[0].leader_id if answer.topics else -1


FOREIGN = "start that Kafka, correct LAB_KAFKA, or unset LAB_KAFKA to use the lab's own broker"
CONFIGURED = "correct {file} (LAB_KAFKA_CONFIG), or unset LAB_KAFKA_CONFIG to use the lab's own broker"


def reach(connection: Connection, timeout: float = 4.0, next_step: str = "") -> Connection:
    """Ask all addresses at once, and return the connection to those that answer.

    After the first answer the others have half a second more. Raises LabError after at most `timeout` seconds; it tells
    an unknown host, a port where nothing listens, silence, another protocol and each kind of refusal apart.
    """
    addresses = connection.addresses
    answers: dict[int, Metadata | str] = {}
    for number, (host, port) in enumerate(addresses):
        threading.Thread(
            target=lambda number, *address: answers.update({number: _one(connection, *address)}),
            args=(number, host, port, timeout),
            daemon=True,
        ).start()
    begin = time.monotonic()

    def enough() -> bool:
        waited = time.monotonic() - begin
        some = any(isinstance(answer, Metadata) for answer in list(answers.values()))
        return len(answers) == len(addresses) or waited > timeout + 0.3 or (some and waited > 0.5)

    until(enough, timeout + 1, "Kafka to answer", every=0.002)
    good = [address for number, address in enumerate(addresses) if isinstance(answers.get(number), Metadata)]
    if good:
        return connection.at(written(good))
    silent = [answers.get(number, f"no answer within {timeout:g} s") for number in range(len(addresses))]
    seen = "\n".join(dict.fromkeys(map(str, silent)))
    own = CONFIGURED.format(file=connection.source) if connection.source else FOREIGN
    raise LabError(f"Could not reach Kafka at {written(addresses)}.", seen, next_step or own)


def written(addresses: Sequence[tuple[str, int]]) -> str:
    """Format as `host:port[,host:port]`, with brackets around an IPv6 address."""
    return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in addresses)


def _one(connection: Connection, host: str, port: int, timeout: float) -> Metadata | str:
    """Return the answer of one address, or the reason why there is none."""
    try:
        return ask(host, port, timeout, connection)
    except LabError as error:  # a certificate of the file cannot be used
        return error.seen
    except RefusedError as error:
        return f"{host}:{port} {error}"
    except socket.gaierror:
        return f"this machine cannot find a host named {host}"
    except TimeoutError:
        return f"no answer from {host}:{port} within {timeout:g} s (a firewall, or a wrong address?)"
    except ConnectionRefusedError:
        return f"nothing listens at {host}:{port} (is that Kafka started?)"
    except OSError as error:
        return f"cannot connect to {host}:{port}: {error}"
    except NotKafkaError as error:
        return f"something listens at {host}:{port} but does not speak Kafka: {error} (a web server?)"
