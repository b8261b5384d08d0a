"""The first question of every Kafka client: which brokers are there.

Asked over a plain socket with kafka-python's own encoding, because a client object that cannot connect keeps a
thread that goes on trying.
"""

import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from kafka.errors import KafkaError
from kafka.protocol.metadata import MetadataRequest
from kafka.protocol.parser import KafkaProtocol

from labsupport.base import LabError

VERSION = 5  # of the request; understood by every broker from Kafka 1.0 to 4.x
LARGEST_ANSWER = 1_000_000  # bytes; what is not Kafka announces an absurd size in its first four bytes


class NotKafkaError(Exception):
    """Something listens, and what it says is not Kafka's protocol."""


@dataclass(frozen=True)
class Metadata:
    """The cluster as one broker describes it: its id, and host and port of each broker as clients will be told."""

    cluster_id: str
    brokers: dict[int, tuple[str, int]]


def ask(host: str, port: int, timeout: float = 2.0) -> Metadata:
    """Ask one address. Raises OSError (nobody there, no answer within `timeout` seconds) or NotKafkaError."""
    protocol = KafkaProtocol(client_id="lab", receive_message_max_bytes=LARGEST_ANSWER)
    protocol.send_request(MetadataRequest[VERSION](topics=[], allow_auto_topic_creation=False))
    with socket.create_connection((host, port), timeout=timeout) as connection:
        connection.sendall(protocol.send_bytes())
        answers: list = []
        while not answers:
            received = connection.recv(65536)
            if not received:
                raise NotKafkaError("it closed the connection without an answer")
            try:
                answers = protocol.receive_bytes(received)
            except (KafkaError, ValueError, AttributeError) as error:
                raise NotKafkaError(f"it began with {received[:12]!r}") from error
    metadata = answers[0][1]
    return Metadata(metadata.cluster_id, {b.node_id: (b.host, b.port) for b in metadata.brokers})


FOREIGN = "start that Kafka, correct LAB_KAFKA, or unset LAB_KAFKA to use the lab's own broker"


def reach(addresses: Sequence[tuple[str, int]], timeout: float = 4.0, next_step: str = FOREIGN) -> Metadata:
    """The answer of the first of `addresses` that gives one; all are asked at once.

    Raises LabError after `timeout` seconds at most, with a sentence of its own for a name that cannot be found, a
    port where nobody listens, silence, and something that is not Kafka.
    """
    answers: dict[int, Metadata | str] = {}

    def one(number: int, host: str, port: int) -> None:
        try:
            answers[number] = ask(host, port, timeout)
        except socket.gaierror:
            answers[number] = f"this machine cannot find a host named {host}"
        except TimeoutError:
            answers[number] = f"no answer from {host}:{port} within {timeout:g} s (a firewall, or a wrong address?)"
        except ConnectionRefusedError:
            answers[number] = f"nothing listens at {host}:{port} (is that Kafka started?)"
        except OSError as error:
            answers[number] = f"cannot connect to {host}:{port}: {error}"
        except NotKafkaError as error:
            answers[number] = (
                f"something listens at {host}:{port} but does not speak Kafka in plain text: {error}\n"
                "(a web server? or a Kafka that wants TLS or a password, which the lab does not use)"
            )

    threads = [
        threading.Thread(target=one, args=(number, *address), daemon=True) for number, address in enumerate(addresses)
    ]
    for thread in threads:
        thread.start()
    for number, thread in enumerate(threads):
        # They wait at the same time, so the first join is the long one.
        thread.join(timeout + 0.3 if number == 0 else 0.3)
        host, port = addresses[number]
        answer = answers.get(number, f"no answer from {host}:{port} within {timeout:g} s (is the name right?)")
        if isinstance(answer, Metadata):
            return answer
    sentences = [answers.get(number, "no answer") for number in range(len(addresses))]
    raise LabError(
        f"Could not reach Kafka at {','.join(f'{host}:{port}' for host, port in addresses)}.",
        "\n".join(str(sentence) for sentence in sentences),
        next_step,
    )
