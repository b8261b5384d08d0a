"""A connection to one node over a blocking socket: plain, TLS, SASL, as a `Connection` says.

It says at once why a node does not let a client in. kafka-python retries for 5 s and then raises `Unable to bootstrap`,
whatever the reason is; aiokafka does the same, and librdkafka tells the reason to a callback only.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from kafka.errors import KafkaError
from kafka.net.sasl import get_sasl_mechanism
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from labsupport.broker import refusals
from labsupport.connection import PLAIN, Connection
from labsupport.errors import NotKafkaError, RefusedError

LARGEST_ANSWER = 1_000_000  # bytes; another protocol's first four bytes read as an absurd size


def exchange(host: str, port: int, request: Any, timeout: float = 2.0, connection: Connection = PLAIN) -> Any:
    """Send one request of a certain version to one node, as `connection` says, and return the response.

    Raises OSError (nothing listens, no answer within `timeout` seconds; RefusedError) or NotKafkaError.
    """
    with socket.create_connection((host, port), timeout=timeout) as plain, _tls(connection, plain, host) as connected:
        channel = _Channel(connection, connected)
        if connection.sasl:
            channel.log_in(host)
        return channel.ask(request)


@contextlib.contextmanager
def _tls(connection: Connection, plain: socket.socket, host: str) -> Iterator[socket.socket]:
    if not connection.tls:
        yield plain
        return
    try:
        wrapped = connection.ssl_context().wrap_socket(plain, server_hostname=host)
    except (ssl.SSLError, ConnectionError) as error:
        raise RefusedError(refusals.of_tls(error, host, connection)) from error
    with wrapped:
        yield wrapped


class _Channel:
    """Requests and responses, one after the other."""

    def __init__(self, connection: Connection, connected: socket.socket):
        self.connection, self.socket = connection, connected
        self.protocol = KafkaProtocol(client_id="lab", receive_message_max_bytes=LARGEST_ANSWER)

    def ask(self, request: Any) -> Any:
        """Send a request, and return its response."""
        self.protocol.send_request(request)
        answers: list = []
        sent = self.protocol.send_bytes()
        while not answers:
            received, sent = self._after_sending(sent), b""
            try:
                answers = self.protocol.receive_bytes(received)
            except (KafkaError, ValueError, AttributeError) as error:
                if refusals.is_tls(received):
                    raise RefusedError(refusals.SPEAKS_TLS) from error
                raise NotKafkaError(f"it began with {received[:12]!r}") from error
        return answers[0][1]

    def _after_sending(self, words: bytes) -> bytes:
        try:
            self.socket.sendall(words)
            received = self.socket.recv(65536)
        except ssl.SSLError as error:  # with TLS 1.3 a client's certificate is judged after the handshake
            raise RefusedError(refusals.of_tls(error, "", self.connection)) from error
        except ConnectionError:
            received = b""
        if not received:
            raise RefusedError(refusals.of_silence(self.connection))
        return received

    def log_in(self, host: str) -> None:
        """Say who the client is. Raises RefusedError."""
        mechanism = self.connection.mechanism
        offered = self.ask(SaslHandshakeRequest[1](mechanism=mechanism))
        if offered.error_code:
            raise RefusedError(refusals.of_mechanism(offered.error_code, offered.mechanisms, self.connection))
        settings = {**self.connection.kafka_python(), "security_protocol": "SASL_SSL"}  # without its remark to the log
        client = get_sasl_mechanism(mechanism)(host=host, **settings)
        while not client.is_done():
            answer = self.ask(SaslAuthenticateRequest[1](auth_bytes=client.auth_bytes()))
            if answer.error_code:
                raise RefusedError(refusals.of_login(answer.error_message or "", self.connection))
            try:
                client.receive(answer.auth_bytes)
            except (ValueError, KeyError) as error:  # SCRAM proves both sides
                raise RefusedError(refusals.of_login(str(error), self.connection)) from error
