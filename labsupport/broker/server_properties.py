"""The settings of an embedded node, and why each differs from Kafka's default. Pure: numbers in, text out."""

from collections.abc import Mapping

HOST = "127.0.0.1"

# Overrides, as `private` takes them, for experiments that freeze or kill one of several brokers. As in a stock Kafka,
# the controller fences a silent broker long before a leader finds that its follower lags. A busy machine neither drops
# a healthy follower nor elects another controller. The heartbeat's interval is also the time limit of a registration.
STEADY = {
    "replica_lag_time_max_ms": "15000",
    "broker_session_timeout_ms": "4000",
    "broker_heartbeat_interval_ms": "1000",
    "controller_quorum_fetch_timeout_ms": "5000",
}


def server_properties(number: int, ports: Mapping[int, tuple[int, int]], overrides: Mapping[str, str]) -> str:
    """Return `server.properties` of node `number`; node n has the (client, controller) ports[n].

    A node without a client port (0) is no broker, one without a controller port no controller. Paths are relative to
    the node's working directory, so that none needs escaping. `overrides` replace the lab's own settings.
    """
    size = sum(port > 0 for port, _ in ports.values())
    port, controller_port = ports[number]
    listeners = {"broker": f"PLAINTEXT://{HOST}:{port}", "controller": f"CONTROLLER://{HOST}:{controller_port}"}
    roles = [role for role, its_port in zip(listeners, ports[number], strict=True) if its_port]
    copies = min(3, size)
    settings = {
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
    if size > 1:
        # A lesson that kills a broker waits for a new leader: seconds instead of the default half minute.
        settings |= {
            "controller.quorum.election.timeout.ms": 500,
            "controller.quorum.fetch.timeout.ms": 1000,
            "replica.lag.time.max.ms": 2000,
        }
    return "".join(f"{name}={value}\n" for name, value in {**settings, **overrides}.items())
