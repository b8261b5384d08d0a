"""docker-compose.yml without Docker: brokers of the lab are started with each service's very settings.

The official image turns KAFKA_* variables into server.properties with a program that is in Kafka's own jars
(`kafka.docker.KafkaDockerWrapper`); the same program does it here. Only addresses and paths are
changed, and Java starts as for the lab's own brokers, which is quicker.
"""

import json
import os
import re
import shutil
import subprocess

import nbformat
import pytest
import yaml
from nbclient import NotebookClient
from nbval.plugin import get_sanitize_patterns

from labsupport.broker.embedded import known_brokers
from labsupport.broker.jars import kafka_version
from labsupport.broker.java_runtime import ENVIRONMENT, JAVA, JVM_FLAGS, LOGGING, TEMPORARY
from labsupport.broker.process import Process, overlaid
from labsupport.broker.processes import java_marks
from labsupport.commands import doctor
from labsupport.commands.notebooks import SANITIZE, comparable, execute
from labsupport.connection import Connection
from labsupport.ports import free_ports
from labsupport.registry import apicurio
from labsupport.settings import CHECKOUT
from labsupport.waiting import until

COMPOSE = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8"))
SETS = {"one": ["kafka"], "cluster": ["kafka-1", "kafka-2", "kafka-3"]}


def listeners(text: str) -> dict[str, tuple[str, int]]:
    """`NAME://host:port,…` as {name: (host, port)}."""
    return {name: (host, int(port)) for name, host, port in re.findall(r"(\w+)://([^:,]*):(\d+)", text)}


@pytest.mark.parametrize("name", [name for names in SETS.values() for name in names])
def test_a_service_advertises_what_it_publishes(name):
    """The classic mistake: a client is sent to an address where nobody listens."""
    service = COMPOSE["services"][name]
    assert service["image"] == f"apache/kafka:{kafka_version()}"
    ((address, outside, inside),) = [port.rsplit(":", 2) for port in service["ports"]]
    assert address == "127.0.0.1"  # this machine only
    environment = service["environment"]
    assert listeners(environment["KAFKA_ADVERTISED_LISTENERS"])["PLAINTEXT"] == ("localhost", int(outside))
    assert listeners(environment["KAFKA_LISTENERS"])["PLAINTEXT"] == ("", int(inside))
    assert service["healthcheck"]["test"][-1] == f"localhost:{inside}"
    assert service["volumes"] == [f"{name}:{environment['KAFKA_LOG_DIRS']}"]
    assert name in COMPOSE["volumes"]
    assert (service.get("profiles") == ["cluster"]) == (name in SETS["cluster"])


def test_the_registry_is_the_one_that_the_lab_fetches():
    """Its version and settings, with which test_registry.py runs it; the address in the file leads to its port."""
    service = COMPOSE["services"]["registry"]
    assert service["profiles"] == ["registry"]
    assert service["image"] == f"apicurio/apicurio-registry:{apicurio.VERSION}"
    assert service["environment"] == apicurio.SETTINGS
    assert service["ports"] == ["127.0.0.1:8081:8080"]  # 8080 is Apicurio's own default
    text = (CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8")
    assert f"LAB_REGISTRY=http://localhost:8081{apicurio.INTERFACE} " in text


def on_this_machine(names: list[str]) -> dict[str, dict[str, str]]:
    """The services' variables with free ports on the loopback interface, and nothing else changed but the folder."""
    environments = {name: COMPOSE["services"][name]["environment"] for name in names}
    doors = [
        (name, listener)
        for name, environment in environments.items()
        for listener in listeners(environment["KAFKA_LISTENERS"])
    ]
    ports = dict(zip(doors, free_ports(len(doors)), strict=True))
    changed = {}
    for name, environment in environments.items():
        voters = []
        for voter, host, port in re.findall(r"(\d+)@([^:]+):(\d+)", environment["KAFKA_CONTROLLER_QUORUM_VOTERS"]):
            there = name if host == "localhost" else host
            assert listeners(environments[there]["KAFKA_LISTENERS"])["CONTROLLER"][1] == int(port)
            assert str(environments[there]["KAFKA_NODE_ID"]) == voter
            voters.append(f"{voter}@127.0.0.1:{ports[there, 'CONTROLLER']}")
        new = {"KAFKA_CONTROLLER_QUORUM_VOTERS": ",".join(voters), "KAFKA_LOG_DIRS": "data"}
        for variable in ("KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS"):
            those = listeners(environment[variable])
            new[variable] = ",".join(f"{each}://127.0.0.1:{ports[name, each]}" for each in those)
        changed[name] = {key: str(value) for key, value in (environment | new).items()}
    return changed


@pytest.fixture
def composed(settings, runtime, tmp_path):
    """`composed(names)` starts these services as processes and gives their addresses."""
    processes = []

    def start(names: list[str], **mistakes: str) -> str:
        class_path = os.pathsep.join(map(str, runtime.class_path))
        environments = {name: variables | mistakes for name, variables in on_this_machine(names).items()}
        for name, environment in environments.items():
            folder = tmp_path / name
            for each in ("default", "mounted", "final"):
                (folder / each).mkdir(parents=True)
            for default in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
                (folder / "default" / default).write_text("Configuration:\n" if "log4j2" in default else "x=y\n")
            tool = [str(JAVA), *JVM_FLAGS, "-cp", class_path, "kafka.docker.KafkaDockerWrapper", "setup"]
            tool += ["-D", "default", "-M", "mounted", "-F", "final"]
            subprocess.run(tool, cwd=folder, env=overlaid(environment | ENVIRONMENT), check=True, capture_output=True)
            made = (folder / "final" / "server.properties").read_text()
            assert "group.min.session.timeout.ms=1000" in made
            assert "offsets.topic.num.partitions=1" in made
            assert "x=y" not in made
            shutil.copy(folder / "final" / "server.properties", folder)
            shutil.copy(LOGGING, folder / "log4j2.properties")
            (folder / TEMPORARY).mkdir()
            # As many megabytes as the image's log cleaner needs: it is not in the service's settings to need less.
            command = runtime.command(marks=[*java_marks(settings, "private"), "-Xmx512m"])
            processes.append(Process.start(name, command, folder / "log", cwd=folder, env=ENVIRONMENT))
        ports = [listeners(each["KAFKA_LISTENERS"])["PLAINTEXT"][1] for each in environments.values()]
        wanted = {int(each["KAFKA_NODE_ID"]) for each in environments.values()}

        def ready() -> bool:
            ended = [process.tail(20) for process in processes if not process.alive]
            assert not ended, ended
            return all(known_brokers(port) == wanted for port in ports)

        until(ready, 300, "the composed brokers")
        return ",".join(f"127.0.0.1:{port}" for port in ports)

    yield start
    for process in processes:
        process.kill()


@pytest.mark.parametrize("which", SETS)
def test_lesson_00_prints_the_same_on_the_composed_brokers(which, composed, monkeypatch):
    """Every cell of the first lesson, through LAB_KAFKA, against the stored outputs."""
    monkeypatch.setenv("LAB_KAFKA", composed(SETS[which]))
    monkeypatch.setenv("LAB_LEARNER", "anna")
    stored = nbformat.read(CHECKOUT / "notebooks" / "00_start_here.ipynb", as_version=4)
    fresh = nbformat.from_dict(stored)
    execute(NotebookClient(fresh, timeout=300))
    patterns = dict(get_sanitize_patterns(SANITIZE.read_text(encoding="utf-8")))
    for before, after in zip(stored.cells, fresh.cells, strict=True):
        if before.cell_type == "code":
            assert comparable(after.outputs, patterns) == comparable(before.outputs, patterns)


def test_a_mistaken_advertised_address_is_named_by_the_doctor(composed):
    """The name of the container, for example, which no client outside can find."""
    wrong = "PLAINTEXT://kafka.invalid:9092"
    address = composed(["kafka"], KAFKA_ADVERTISED_LISTENERS=wrong)
    line = doctor.advertised(Connection(address))
    assert not line.ok
    assert "sends clients to kafka.invalid:9092" in line.seen
    assert f"advertised.listeners=PLAINTEXT://{address}" in line.next_step


def test_prometheus_and_grafana_get_files_that_exist_and_are_on_this_machine_only():
    """Each mounted file is there, where the container's program looks; images are pinned."""
    observing = {
        name: service for name, service in COMPOSE["services"].items() if service.get("profiles") == ["observe"]
    }
    assert observing.keys() == {"prometheus", "grafana"}
    for name, service in observing.items():
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"])
        assert service["network_mode"] == "host"
        assert "127.0.0.1" in " ".join([*service.get("command", []), *service.get("environment", {}).values()]), name
        for volume in service["volumes"]:
            here, _, access = volume.split(":")
            assert (CHECKOUT / here).is_file(), here
            assert access == "ro"
    config = CHECKOUT / "labsupport" / "observability" / "config"
    (datasource,) = yaml.safe_load((config / "grafana_datasource.yml").read_text(encoding="utf-8"))["datasources"]
    assert datasource["url"].removeprefix("http://") in " ".join(observing["prometheus"]["command"])
    (provider,) = yaml.safe_load((config / "grafana_dashboards.yml").read_text(encoding="utf-8"))["providers"]
    assert f":{provider['options']['path']}/" in observing["grafana"]["volumes"][-1]
    dashboard = json.loads((config / "dashboard.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == datasource["uid"], panel["title"]
