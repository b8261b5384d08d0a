"""The settings of an embedded node, and why each differs from Kafka's default. Pure: numbers in, text out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from labsupport.connection import Secret
from labsupport.ports import HOST

# Overrides, as `private` takes them, for experiments that freeze or kill one of several brokers. As in a stock Kafka,
# the controller fences a silent broker long before a leader finds that its follower lags. A busy machine neither drops
# a healthy follower nor elects another controller. The heartbeat's interval is also the time limit of a registration.
STEADY = {
    "replica_lag_time_max_ms": "15000",
    "broker_session_timeout_ms": "4000",
    "broker_heartbeat_interval_ms": "1000",
    "controller_quorum_fetch_timeout_ms": "5000",
}


class Listener(NamedTuple):
    """One more door for clients: its security protocol, where it listens, and the address that it tells them."""

    protocol: str
    address: str
    advertised: str


@dataclass(frozen=True)
class Access:
    """Who may use the brokers. Without one, everybody on this machine may.

    `owner` has every right, and its password is wanted at the port for clients and at that for controllers, both on the
    loopback interface. `listeners` are further doors, by name in capitals, and `settings` what they need.
    """

    owner: str
    password: Secret = field(repr=False)
    listeners: Mapping[str, Listener] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    def over(self, settings: Mapping[str, object], port: int) -> dict[str, object]:
        """Return the settings of a broker whose port for clients is `port`, with this access."""
        protocols = {"ADMIN": "SASL_PLAINTEXT", "CONTROLLER": "SASL_PLAINTEXT"}
        protocols |= {name: each.protocol for name, each in self.listeners.items()}
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required "
        login += f'username="{self.owner}" password="{self.password}" user_{self.owner}="{self.password}";'
        doors = {"ADMIN": f"{HOST}:{port}"} | {name: each.address for name, each in self.listeners.items()}
        told = {"ADMIN": f"{HOST}:{port}"} | {name: each.advertised for name, each in self.listeners.items()}
        changed: dict[str, object] = {
            "listeners": str(settings["listeners"]).replace(
                f"PLAINTEXT://{HOST}:{port}", ",".join(f"{name}://{where}" for name, where in doors.items())
            ),
            "listener.security.protocol.map": ",".join(f"{name}:{what}" for name, what in protocols.items()),
            "sasl.enabled.mechanisms": "PLAIN",
            # A controller that anybody may ask would give the rights of a broker to everybody on this machine.
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.controller.plain.sasl.jaas.config": login,
        }
        if port:
            changed |= {
                "advertised.listeners": ",".join(f"{name}://{where}" for name, where in told.items()),
                "inter.broker.listener.name": "ADMIN",
                "sasl.mechanism.inter.broker.protocol": "PLAIN",
                "listener.name.admin.sasl.enabled.mechanisms": "PLAIN",
                "listener.name.admin.plain.sasl.jaas.config": login,
            }
        return {**settings, **changed, **self.settings}


def key_store(listener: str, certificate: str, key: str, clients: str = "") -> dict[str, str]:
    """Return the settings that give a listener its certificate and key (PEM).

    With `clients`, certificates of an authority, a client has to show one that it has signed.
    """
    name = f"listener.name.{listener.lower()}.ssl"
    settings = {"keystore.type": "PEM", "keystore.certificate.chain": certificate, "keystore.key": key}
    if clients:
        settings |= {"truststore.type": "PEM", "truststore.certificates": clients, "client.auth": "required"}
    return {f"{name}.{end}": text.strip().replace("\n", "\\n") for end, text in settings.items()}


def server_properties(
    number: int, ports: Mapping[int, tuple[int, int]], overrides: Mapping[str, str], access: Access | None = None
) -> str:
    """Return `server.properties` of node `number`; node n has the (client, controller) ports[n].

    A node without a client port (0) is no broker, one without a controller port no controller. Paths are relative to
    the node's working directory, so that none needs escaping. `overrides` replace the lab's own settings; with an
    `access`, not everybody may use the node, and the text holds passwords.
    """
    size = sum(port > 0 for port, _ in ports.values())
    port, controller_port = ports[number]
    listeners = {"broker": f"PLAINTEXT://{HOST}:{port}", "controller": f"CONTROLLER://{HOST}:{controller_port}"}
    roles = [role for role, its_port in zip(listeners, ports[number], strict=True) if its_port]
    copies = min(3, size)
    settings: dict[str, object] = {
        "process.roles": ",".join(roles),
        "node.id": number,
        "controller.quorum.voters": ",".join(f"{n}@{HOST}:{pair[1]}" for n, pair in ports.items() if pair[1]),
        "controller.listener.names": "CONTROLLER",
        "listeners": ",".join(listeners[role] for role in roles),
        "log.dirs": "data",
        # A misspelt topic name must be an error, not a new topic.
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        # One partition for each internal topic: Kafka creates them at first use, while the learner waits.
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": min(2, copies),
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": min(2, copies),
        # Groups form at once, and lessons may use short sessions.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "group.consumer.assignment.interval.ms": 0,
        # In the newer protocols (KIP-848, share groups) the broker sets the heartbeat, and each step of a rebalance
        # waits for the next one: two members take two to four steps of 5 s by default.
        "group.consumer.min.heartbeat.interval.ms": 300,
        "group.consumer.heartbeat.interval.ms": 300,
        "group.share.min.heartbeat.interval.ms": 300,
        "group.share.heartbeat.interval.ms": 300,
        # Quick start on a laptop. Until its session ends (9 s by default), a killed broker that starts again is
        # refused as a duplicate.
        "broker.heartbeat.interval.ms": 300,
        "broker.session.timeout.ms": 2000,
        "controller.quorum.append.linger.ms": 5,
        # Small enough for a laptop: the cleaner's buffer alone is 128 MB by default.
        "log.cleaner.dedupe.buffer.size": 2097152,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "group.coordinator.threads": 1,
        "share.coordinator.threads": 1,
    }
    if len(ports) == 1:
        # Nobody follows, so nobody has to be told twice a second that nothing has happened: an idle broker writes
        # nothing, and needs a quarter less of the processor.
        settings["metadata.max.idle.interval.ms"] = 0
    if size > 1:
        # A lesson that kills a broker waits for a new leader: seconds instead of the default half minute.
        settings |= {
            "controller.quorum.election.timeout.ms": 500,
            "controller.quorum.fetch.timeout.ms": 1000,
            "replica.lag.time.max.ms": 2000,
        }
    if access:
        settings = access.over(settings, port)
    return "".join(f"{name}={value}\n" for name, value in {**settings, **overrides}.items())
