"""The class's Kafka: one broker of the lab's with TLS, users, rights and quotas.

Learners come in by a door of their own, with a password over TLS. The administrator's doors, for clients and for the
controller, are on this machine's loopback address, with another password. All of it is in `.lab/class`.
"""

import json
import secrets
import socket
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from labsupport.broker import certificates
from labsupport.broker.certificates import Certificate
from labsupport.broker.embedded import EmbeddedCluster
from labsupport.broker.java_runtime import prepare
from labsupport.broker.metadata import in_use
from labsupport.broker.process import write_atomically
from labsupport.broker.server_properties import Access, Listener, key_store
from labsupport.client_properties import written
from labsupport.connection import Connection, Secret
from labsupport.errors import LabError
from labsupport.files import storing
from labsupport.settings import Settings
from labsupport.waiting import only_one

TEACHER = "lab-teacher"
PORT = 9094
LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


class ClassBroker(NamedTuple):
    """The broker, and how learners (without a user yet) and the teacher connect."""

    cluster: EmbeddedCluster
    learners: Connection
    teacher: Connection
    fingerprint: str


def folder_of(settings: Settings) -> Path:
    """Return the folder of the class's broker, whether there is one or not."""
    return settings.home / "class"


def teacher_file(settings: Settings) -> Path:
    """Return the file with which the teacher's commands connect."""
    return folder_of(settings) / "teacher.properties"


def learners_connection(settings: Settings) -> Connection:
    """Return how learners connect, without a user yet. Raises LabError if there is no class."""
    if not (kept := _kept(folder_of(settings))):
        raise LabError("There is no class here yet.", "", "python3 lab.py class start --name <this machine's name>")
    return Connection(f"{kept['name']}:{kept['port']}", "SASL_SSL", "SCRAM-SHA-512", ca=kept["authority"])


def start(settings: Settings, name: str = "", port: int = 0) -> ClassBroker:
    """Return the class's broker, up; the first time, `name` says under which name or address learners find it.

    Later calls keep name and port unless they are given. Raises LabError if the port is taken or it does not start.
    """
    folder = folder_of(settings)
    with storing(folder, "LAB_HOME"), only_one(folder / "class.lock", "starting the class's Kafka", timeout=180):
        kept = _kept(folder)
        name, port = name or kept.get("name") or socket.getfqdn(), port or kept.get("port") or PORT
        authority = (
            Certificate(kept["authority"], Secret(kept["key"])) if kept else certificates.authority("kafka-lab class")
        )
        password = Secret(kept.get("password") or secrets.token_urlsafe(24))
        cluster = EmbeddedCluster(
            folder / "broker", prepare(settings), role="class", access=_access(name, port, authority, password)
        )
        running = cluster.brokers[0].process is not None
        if running and (name, port) != (kept.get("name"), kept.get("port")):
            cluster.stop()
            running = False
        if not running and in_use(port):
            raise LabError(
                f"The class's Kafka cannot use port {port}.", "another program listens there", "choose one: --port 9095"
            )
        now = {"name": name, "port": port, "authority": authority.text, "key": str(authority.key), "password": password}
        write_atomically(folder / "class.json", json.dumps(now), 0o600)
        cluster.start()
        teacher = cluster.connection
        write_atomically(teacher_file(settings), written(teacher), 0o600)
    return ClassBroker(
        cluster, learners_connection(settings), replace(teacher, source=teacher_file(settings)), authority.fingerprint
    )


def _kept(folder: Path) -> dict:
    try:
        return dict(json.loads((folder / "class.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _access(name: str, port: int, authority: Certificate, password: Secret) -> Access:
    own = certificates.issue(authority, "kafka-lab class", list(dict.fromkeys([name, "localhost", "127.0.0.1"])))
    settings = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.class.sasl.enabled.mechanisms": "SCRAM-SHA-512",  # the teacher's password is of no use there
        "listener.name.class.scram-sha-512.sasl.jaas.config": LOGIN,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{TEACHER}",
        "allow.everyone.if.no.acl.found": "false",
    }
    door = Listener("SASL_SSL", f"0.0.0.0:{port}", f"{name}:{port}")
    return Access(TEACHER, password, {"CLASS": door}, settings | key_store("CLASS", own.text, own.key))
