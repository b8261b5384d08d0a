"""How to connect to a Kafka: addresses, and what a secured one wants. The same for each of the three Python clients."""

import re
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from labsupport import access_token
from labsupport.errors import LabError

ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})")
PASSWORDS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
TOKENS = "OAUTHBEARER"


def parse_addresses(text: str, source: str = "LAB_KAFKA") -> list[tuple[str, int]]:
    """Parse `host:port[,host:port]` into (host, port) pairs; raises LabError for anything else."""
    pairs = []
    for part in text.split(","):
        match = ADDRESS.fullmatch(part.strip())
        if not match or not 0 < int(match["port"]) < 65536:
            raise LabError(
                f"{source} is {text!r}.",
                f"{part.strip()!r} is not host:port with a port between 1 and 65535",
                f"set {source}=localhost:9092 (several: host:port,host:port)"
                + (", or unset it to use the lab's own broker" if source == "LAB_KAFKA" else ""),
            )
        pairs.append((match["host"].strip("[]"), int(match["port"])))
    return pairs


class Secret(str):
    """A text that does not show in a notebook's output or in a log: its `repr` is `'***'`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True)
class Connection:
    """Kafka's addresses (`host:port[,host:port]`), and how to connect there; by default in plain text, as anybody.

    `protocol` and `mechanism` are Kafka's `security.protocol` and `sasl.mechanism`. With OAUTHBEARER, `user` and
    `password` are the client's id and secret at `token_url`. `ca`, `certificate` and `key` are PEM texts; without `ca`,
    the system's authorities are trusted. `learner` is whose file it is, in a class. `source` is the file that all this
    comes from, `unused` its other settings.
    """

    bootstrap: str
    protocol: str = "PLAINTEXT"
    mechanism: str = ""
    user: str = ""
    password: Secret = field(default=Secret(), repr=False)
    ca: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: Secret = field(default=Secret(), repr=False)
    key_password: Secret = field(default=Secret(), repr=False)
    checks_host_name: bool = True
    token_url: str = ""
    scope: str = ""
    extensions: tuple[tuple[str, str], ...] = ()
    learner: str = ""
    source: Path | None = None
    unused: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, given: "Connection | str") -> "Connection":
        """Return `given`; an address alone is a connection in plain text."""
        return given if isinstance(given, Connection) else cls(given)

    def at(self, bootstrap: str) -> Self:
        """Return the same with other addresses."""
        return replace(self, bootstrap=bootstrap)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The (host, port) pairs."""
        return parse_addresses(self.bootstrap)

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.protocol in ("SSL", "SASL_SSL")

    @property
    def sasl(self) -> bool:
        """Whether the client says who it is with SASL."""
        return self.protocol.startswith("SASL_")

    @property
    def secured(self) -> bool:
        """Whether a client needs more than an address."""
        return self.tls or self.sasl

    def kafka_python(self) -> dict[str, Any]:
        """Return the settings for kafka-python's clients."""
        return self._python(access_token.for_kafka_python)

    def aiokafka(self) -> dict[str, Any]:
        """Return the settings for aiokafka's clients."""
        return self._python(access_token.for_aiokafka)

    def confluent_kafka(self) -> dict[str, Any]:
        """Return the settings for confluent-kafka's clients, under librdkafka's names."""
        settings: dict[str, Any] = {"bootstrap.servers": self.bootstrap}
        if self.secured:
            settings["security.protocol"] = self.protocol
        if self.tls:
            named = {"ssl.ca.pem": self.ca, "ssl.certificate.pem": self.certificate, "ssl.key.pem": self.key}
            settings |= {name: value for name, value in named.items() if value}
            if self.key_password:
                settings["ssl.key.password"] = self.key_password
            if not self.checks_host_name:
                settings["ssl.endpoint.identification.algorithm"] = "none"
        if self.sasl:
            settings["sasl.mechanism"] = self.mechanism
            if self.mechanism == TOKENS:
                settings |= self._oidc()
            else:
                settings |= {"sasl.username": self.user, "sasl.password": self.password}
        return settings

    @property
    def _credentials(self) -> access_token.ClientCredentials:
        return access_token.ClientCredentials(
            self.token_url, self.user, self.password, self.scope, self.extensions, self.ca
        )

    def _oidc(self) -> dict[str, Any]:
        oidc = {
            "method": "oidc",
            "client.id": self.user,
            "client.secret": self.password,
            "token.endpoint.url": self.token_url,
            "scope": self.scope,
            "extensions": ",".join(f"{name}={value}" for name, value in self.extensions),
        }
        settings = {f"sasl.oauthbearer.{name}": value for name, value in oidc.items() if value}
        return settings | ({"https.ca.pem": self.ca} if self.ca else {})

    def _python(self, provider: Callable[[access_token.ClientCredentials], Any]) -> dict[str, Any]:
        settings: dict[str, Any] = {"bootstrap_servers": [each.strip() for each in self.bootstrap.split(",")]}
        if self.secured:
            settings["security_protocol"] = self.protocol
        if self.tls:
            settings["ssl_context"] = self.ssl_context()
        if self.sasl:
            settings["sasl_mechanism"] = self.mechanism
            if self.mechanism == TOKENS:
                settings["sasl_oauth_token_provider"] = provider(self._credentials)
            else:
                settings |= {"sasl_plain_username": self.user, "sasl_plain_password": self.password}
        return settings

    def ssl_context(self) -> ssl.SSLContext:
        """Return what checks the broker's certificate, and shows the client's own. Raises LabError for bad PEM."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self.checks_host_name
        try:
            if self.ca:
                context.load_verify_locations(cadata=self.ca)
            else:
                context.load_default_certs()
        except ssl.SSLError as error:
            raise self._unfit("the certificates of the CA cannot be read", error) from None
        if self.certificate:
            # Python reads a client's certificate from a file only: one that only this user may read, for a moment.
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "client.pem")
                file.touch(mode=0o600)
                file.write_text(f"{self.key}\n{self.certificate}\n", encoding="ascii")
                try:
                    context.load_cert_chain(file, password=lambda: str(self.key_password))
                except ssl.SSLError as error:
                    why = "the client's key cannot be read with its certificate (is ssl.key.password right?)"
                    raise self._unfit(why, error) from None
        return context

    def _unfit(self, why: str, error: ssl.SSLError) -> LabError:
        return LabError(
            f"Could not use {self.source or 'the certificates'}.", f"{why}: {error.reason or error}", "ask for new ones"
        )


PLAIN = Connection("")  # plain text, at an address that is given beside it
