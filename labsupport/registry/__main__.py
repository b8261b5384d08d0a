"""The registry as a program: `python -m labsupport.registry KAFKA TOPIC PORT`, on this machine's loopback address only.

It prints its address first, and ends at SIGTERM or Ctrl-C; what it has answered is in the topic. It makes the topic if
there is none.
"""

import sys
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

from labsupport.connection import Connection
from labsupport.errors import LabError
from labsupport.registry.schema_topic import SECONDS, SchemaTopic
from labsupport.registry.server import serve
from labsupport.settings import Settings
from labsupport.transactions import READ_COMMITTED

# Milliseconds: after SECONDS it is certain that nothing of a write is still on its way.
WRITES = {"delivery_timeout_ms": 1_000 * SECONDS, "request_timeout_ms": 800 * SECONDS, "max_block_ms": 1_000 * SECONDS}


def make_topic(kafka: Connection, topic: str) -> None:
    """Make the topic with one partition, compacted. Raises LabError if it exists with another form."""
    admin = KafkaAdminClient(**kafka.kafka_python())
    try:
        try:
            admin.create_topics([NewTopic(topic, 1, -1, topic_configs={"cleanup.policy": "compact"})])
        except TopicAlreadyExistsError:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic)
            settings = admin.describe_configs([resource], config_filter="all")["topic"][topic]
            if settings["cleanup.policy"]["value"] != "compact":
                raise LabError(
                    f"The topic {topic} cannot hold a registry.",
                    f"its cleanup.policy is {settings['cleanup.policy']['value']}: Kafka would delete schemas in use",
                    f"set cleanup.policy=compact for {topic}, or delete it if nobody needs it",
                ) from None
        admin.wait_for_topics([topic])
    finally:
        admin.close()


def main(kafka: Connection, topic: str, port: int) -> None:
    """Serve until a signal ends the program. Raises LabError if the port is taken or the topic is of no use."""
    make_topic(kafka, topic)
    client: dict[str, Any] = {**kafka.kafka_python(), "client_id": "registry", "reconnect_backoff_max_ms": 1_000}
    producer = KafkaProducer(acks="all", **WRITES, **client)
    consumer = KafkaConsumer(group_id=None, isolation_level=READ_COMMITTED, **client)
    schemas = SchemaTopic(topic, producer, consumer)
    try:
        server = serve(schemas, port)
    except OSError as error:
        raise LabError(f"The registry cannot use port {port}.", str(error), "choose another port") from error
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    try:
        main(Settings.from_environment().connection_to(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    except LabError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
