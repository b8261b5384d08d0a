"""The alert rules in a real Prometheus: its promtool on the recordings, and the server on the lab's own pages.

Prometheus is Debian's package: from the path, or fetched once into the lab's cache. Without it these tests are skipped.
"""

import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from labsupport.experiments.watching import lag_series
from labsupport.observability import group_lag_metrics, metrics_page
from labsupport.observability.group_lag import Observer
from labsupport.settings import CHECKOUT
from labsupport.waiting import only_one, until

CONFIG = CHECKOUT / "labsupport" / "observability" / "config"
RULES = CONFIG / "alert_rules.yml"
PACKAGE = "prometheus"
STEP = 30  # seconds in production that half a second in a recording stands for
FIRED = {
    "healthy": [],
    "batch job": [],
    "poison": ["PartitionStuck"],
    "dead consumer": ["ConsumerGroupDead"],
    "no traffic, dead consumer": ["NobodyReads"],
    "slow, keeping up": [],
}


@pytest.fixture(scope="module")
def prometheus(settings) -> Path:
    """The folder with `prometheus` and `promtool`."""
    if found := shutil.which("promtool"):
        return Path(found).parent
    folder = settings.cache / "debian-prometheus"
    with only_one(settings.cache / "debian-prometheus.lock", "fetching Prometheus"):
        if not folder.exists():
            if not shutil.which("apt-get") or not shutil.which("dpkg"):
                pytest.skip("no promtool: install Prometheus")
            with tempfile.TemporaryDirectory(dir=settings.cache) as scratch:
                fetched = subprocess.run(["apt-get", "download", PACKAGE], cwd=scratch, capture_output=True, text=True)
                packed = sorted(Path(scratch).glob(f"{PACKAGE}_*.deb"))
                if fetched.returncode or not packed:
                    pytest.skip(f"no promtool, and it could not be fetched: {fetched.stderr.strip()[-200:]}")
                subprocess.run(["dpkg", "-x", packed[-1], Path(scratch, "unpacked")], check=True)
                Path(scratch, "unpacked").rename(folder)
    return folder / "usr" / "bin"


def values(samples, field, factor=1):
    """One field in promtool's notation, with `_` for what is not there."""
    found = (getattr(each, field) for each in samples)
    return " ".join("_" if each is None else f"{each * factor:g}" for each in found)


def input_series(shape):
    """A recording as what the exporter would have shown, a minute for each second."""
    group = f'consumergroup="{shape}"'
    partitions = lag_series.by_partition(lag_series.read()[shape])
    yield {"series": "kafka_lag_exporter_up", "values": f"1x{len(partitions[0])}"}
    yield {
        "series": f"kafka_consumergroup_members{{{group}}}",
        "values": values(partitions[0], "members"),
    }
    for number, samples in partitions.items():
        where = f'{{{group}, topic="orders", partition="{number}"}}'
        yield {"series": f"kafka_consumergroup_lag{where}", "values": values(samples, "lag")}
        yield {"series": f"kafka_consumergroup_lag_seconds{where}", "values": values(samples, "age", 2 * STEP)}
        yield {"series": f"kafka_consumergroup_current_offset{where}", "values": values(samples, "committed")}


def fired(names):
    """These rules fired, and no others, in the whole hour and already 16 minutes after the event."""
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names]
    query = 'count by (alertname) (count by (alertname, {}) (count_over_time(ALERTS{{alertstate="firing"}}[60m])))'
    return [{"expr": query.format("consumergroup"), "eval_time": at, "exp_samples": expected} for at in ("26m", "58m")]


def promtool(folder, file, tests):
    """Run promtool's unit tests of the rules."""
    content = {"rule_files": [str(RULES)], "evaluation_interval": f"{STEP}s", "tests": tests}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return subprocess.run([folder / "promtool", "test", "rules", file], capture_output=True, text=True)


def test_the_rules_are_prometheus_s(prometheus):
    """Syntax, and every expression."""
    run = subprocess.run([prometheus / "promtool", "check", "rules", RULES], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "8 rules found" in run.stdout


def test_the_configuration_is_prometheus_s(prometheus):
    """It names the rules beside it."""
    run = subprocess.run([prometheus / "promtool", "check", "config", CONFIG / "prometheus.yml"], capture_output=True)
    assert run.returncode == 0, run.stderr
    assert b"SUCCESS: 8 rules found" in run.stdout


@pytest.mark.parametrize("shape", FIRED)
def test_prometheus_judges_the_recordings_as_the_rules_in_python_do(prometheus, tmp_path, shape):
    """The same rules wake for the same shapes; see tests/unit/test_alerts.py."""
    tests = [
        {"interval": f"{STEP}s", "input_series": list(input_series(shape)), "promql_expr_test": fired(FIRED[shape])}
    ]
    run = promtool(prometheus, tmp_path / "test.yml", tests)
    assert run.returncode == 0, run.stdout + run.stderr


OTHERS = {
    "the exporter is gone": ([], ["GroupLagUnknown"]),
    "Kafka does not answer the exporter": (
        [{"series": "kafka_lag_exporter_up", "values": "0x120"}],
        ["GroupLagUnknown"],
    ),
    "dead letters arrive": (
        [
            {"series": "kafka_lag_exporter_up", "values": "1x120"},
            {
                "series": 'kafka_topic_partition_current_offset{topic="orders-dlt", partition="0"}',
                "values": "4x20 5x99",
            },
            {"series": 'kafka_topic_partition_current_offset{topic="orders", partition="0"}', "values": "4+1x120"},
        ],
        ["DeadLettersArrive"],
    ),
    "the worker stands still, then its page is gone": (
        [
            {"series": "kafka_lag_exporter_up", "values": "1x120"},
            {"series": "worker_last_poll_timestamp_seconds", "values": "1x120"},
            {"series": 'up{job="worker"}', "values": "1x20 0x99"},
        ],
        ["WorkerStandsStill", "WorkerUnreachable"],
    ),
    "a group falls behind in one partition of two": (
        [
            {"series": "kafka_lag_exporter_up", "values": "1x120"},
            {"series": 'kafka_consumergroup_members{consumergroup="g"}', "values": "2x120"},
            *(
                {"series": f'{name}{{consumergroup="g", topic="orders", partition="{partition}"}}', "values": values}
                for partition, of_partition in enumerate((("3x120", "0x120"), ("100+5x120", f"60+{STEP // 2}x120")))
                for name, values in zip(
                    (
                        "kafka_consumergroup_lag",
                        "kafka_consumergroup_lag_seconds",
                        "kafka_consumergroup_current_offset",
                    ),
                    (*of_partition, "7+9x120"),
                    strict=True,
                )
            ),
        ],
        ["ConsumerFallingBehind"],
    ),
    "all is well": (
        [
            {"series": "kafka_lag_exporter_up", "values": "1x120"},
            {"series": "worker_last_poll_timestamp_seconds", "values": f"1+{STEP}x120"},
            {"series": 'up{job="worker"}', "values": "1x120"},
            {"series": 'kafka_topic_partition_current_offset{topic="orders-dlt", partition="0"}', "values": "4x120"},
        ],
        [],
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_the_rules_about_watchers_and_dead_letters(prometheus, tmp_path, case):
    """Absence, a page that says no, and topics of dead letters."""
    given, names = OTHERS[case]
    tests = [{"interval": f"{STEP}s", "input_series": given, "promql_expr_test": fired(names)}]
    run = promtool(prometheus, tmp_path / "test.yml", tests)
    assert run.returncode == 0, run.stdout + run.stderr


# The server, on real pages. A minute passes in a second.

SERVICE = """
import sys
from labsupport.broker.cluster import Cluster
from labsupport.delivery.worker import Worker
from labsupport.observability import metrics_page
from labsupport.observability.worker_metrics import WorkerMetrics

bootstrap, topic, group = sys.argv[1:]
with Cluster(bootstrap) as kafka:
    settings = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "session_timeout_ms": 3000}
    metrics = WorkerMetrics()
    worker = Worker(kafka.consumer(topic, name="A", group_id=group, **settings), lambda record: None, hooks=[metrics])
    metrics.watch(worker)
    with metrics_page.serve(metrics.registry) as page:
        print(page.port, flush=True)
        worker.run()
"""


def quick(rules: str) -> str:
    """The rules with seconds for minutes."""
    return re.sub(r"\b(\d+)m\b", r"\1s", rules).replace("> 300", "> 5")


# Panels without data in the test below: it has neither.
EMPTY = {"Dead letters", "Alerts that fire", "Worker: errors and dead letters by reason"}


def dashboard():
    """(title, expression) of each line in Grafana's dashboard, for all groups."""
    panels = json.loads((CONFIG / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    return [(panel["title"], each["expr"].replace("$group", ".*")) for panel in panels for each in panel["targets"]]


class Server:
    """A running Prometheus."""

    def __init__(self, folder, where, targets):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        jobs = [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in targets.items()
        ]
        every = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
        (where / "rules.yml").write_text(quick(RULES.read_text(encoding="utf-8")), encoding="utf-8")
        config = {"global": every, "rule_files": ["rules.yml"], "scrape_configs": jobs}
        (where / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self.log = where / "log"
        with self.log.open("wb") as log:
            command = [
                folder / "prometheus",
                f"--config.file={where / 'prometheus.yml'}",
                f"--storage.tsdb.path={where / 'data'}",
                f"--web.listen-address={self.address}",
            ]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def ask(self, path):
        """The data of an answer; None while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}", timeout=300) as answer:
                return json.load(answer)["data"]
        except OSError:
            assert self.process.poll() is None, self.log.read_text()
            return None

    def up(self):
        """The jobs that answer."""
        found = self.ask("query?query=up==1")
        return {each["metric"]["job"] for each in found["result"]} if found else set()

    def firing(self):
        """The alerts that fire now: (name, group)."""
        found = self.ask("alerts") or {"alerts": []}
        return {
            (each["labels"]["alertname"], each["labels"].get("consumergroup"))
            for each in found["alerts"]
            if each["state"] == "firing"
        }


def test_prometheus_scrapes_both_pages_and_wakes_for_a_dead_consumer(prometheus, cluster, tmp_path):
    """A killed process: the group's page says so, the worker's own page is gone; revived, all is quiet again."""
    topic, group = cluster.create_topic("95-scraped", 1), "95-scraped-group"
    cluster.delete_groups([group])

    def start(stack):
        command = [sys.executable, "-c", SERVICE, cluster.bootstrap, topic, group]
        process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        stack.callback(process.kill)
        return process, int(process.stdout.readline())

    with ExitStack() as stack:
        observer = stack.enter_context(Observer(cluster, lambda name: name == group, lambda name: name == topic))
        page = stack.enter_context(metrics_page.serve(group_lag_metrics.registry(observer.snapshot)))
        service, port = start(stack)
        server = Server(prometheus, tmp_path, {"groups": page.port, "worker": port})
        stack.callback(server.process.wait)
        stack.callback(server.process.kill)
        producer = cluster.producer(name="shop")
        until(lambda: server.up() == {"groups", "worker"}, 300, "Prometheus to have scraped both pages")
        producer.send(topic, b"").get(timeout=300)
        query = "query?query=worker_records_total{outcome=%22handled%22}==1"
        until(lambda: (server.ask(query) or {"result": ()})["result"], 300, "the worker's own count in Prometheus")
        for title, expression in dashboard():
            if title not in EMPTY:
                query = "query?" + urllib.parse.urlencode({"query": expression.replace("[5m]", "[5s]")})
                until(lambda query=query: (server.ask(query) or {"result": ()})["result"], 300, f"data for {title!r}")
        service.kill()
        producer.send(topic, b"").get(timeout=300)
        expected = {("ConsumerGroupDead", group), ("WorkerUnreachable", None)}
        until(lambda: server.firing() == expected, 300, "exactly these alerts to fire")
        consumer = cluster.consumer(topic, name="B", group_id=group, auto_offset_reset="earliest")
        until(lambda: consumer.poll(timeout_ms=200) or consumer.commit() or ("ConsumerGroupDead", group) not in
              server.firing(), 300, "the alert to end with the group's return")  # fmt: skip
        service.wait()
