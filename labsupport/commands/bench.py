"""`python3 lab.py bench`: how the lab's broker compares with a stock one, in ratios from one run.

Stock is a plain download of Apache Kafka: `StorageTool format`, then `kafka.Kafka` with the heap and collector of its
start script and default settings, except the replication factors, which one broker cannot keep. Both use the same jars
and Java. They are measured alternately (lab, stock, lab, stock), so that a machine that gets slower affects both. Each
ratio is that of neighbours, and the table shows the median.
"""

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import psutil
from rich.table import Table

from labsupport.broker import background, startup_cache, temporary_homes
from labsupport.broker.cluster import Cluster, private
from labsupport.broker.embedded import known_brokers
from labsupport.broker.java_runtime import ENVIRONMENT, JAVA, Runtime, new_id, prepare
from labsupport.broker.process import Process, overlaid
from labsupport.broker.processes import java_marks, python_marks
from labsupport.commands import bench_loops
from labsupport.commands.terminal import console, example
from labsupport.console import progress
from labsupport.errors import LabError
from labsupport.ports import HOST, free_ports
from labsupport.settings import Settings
from labsupport.waiting import until

STOCK_FLAGS = ("-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Djava.awt.headless=true")


@dataclass(frozen=True)
class Sample:
    """One run of a cluster: seconds until it answers and until a group reads a record; bytes per idle broker."""

    start: float
    first_record: float
    memory: int


@dataclass(frozen=True)
class Row:
    """One line of the table: the lab, what it is compared with (`against`), and the ratio, if any."""

    what: str
    unit: str
    lab: float
    other: float | None = None
    ratio: float | None = None
    against: str = ""


@click.command(**example("python3 lab.py bench", "python3 lab.py bench --runs 5 --json"))
@click.option(
    "--runs", type=click.IntRange(1, 50), default=3, show_default=True, help="Pairs for each size of cluster."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def bench(runs: int, as_json: bool) -> None:
    """Compare the lab's broker with a stock one, and its helpers with hand-written loops, as ratios from one run."""
    rows = measure(Settings.from_environment(), runs)
    if as_json:
        click.echo(json.dumps({"machine": machine(), "runs": runs, "rows": [asdict(row) for row in rows]}))
        return
    table = Table("", "lab", "compared with", "ratio", box=None, header_style="dim")
    for row in rows:
        other = "" if row.other is None else f"{row.other:.3g} {row.unit} ({row.against})"
        table.add_row(row.what, f"{row.lab:.3g} {row.unit}", other, "" if row.ratio is None else f"{row.ratio:.2g}")
    console.print(table)
    console.print(f"Medians of {runs} runs on {machine()}", soft_wrap=True)


def measure(settings: Settings, runs: int, sizes: Sequence[int] = (1, 3), events: int = 5_000) -> list[Row]:
    """Return the table, from `runs` pairs for each size of cluster, and so many events for the loops.

    A pair takes about 40 s.

    Everything runs in a home of its own, so a running lab is not touched.
    """
    with temporary_homes.temporary("lab-bench-") as home:
        own = replace(settings, home=home, kafka="embedded")
        runtime = prepare(own)
        startup_cache.train(own)  # from the second start on, the lab has its start-up cache
        rows = []
        with progress("Measuring", 2 * len(sizes) * runs + 1, "start") as bar:
            for size in sizes:
                pairs = [_pair(runtime, size, bar.update) for _ in range(runs)]
                rows += _compare(size, pairs)
            rows += _loops(own, runs, events)
            rows += _python_side(own)
            bar.update()
        return rows


def machine() -> str:
    """Describe this machine."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GB, {system}"


def _pair(runtime: Runtime, size: int, count: Callable[[], object]) -> tuple[Sample, Sample]:
    samples = []
    for cluster in (_lab, _stock):
        begin = time.monotonic()
        with cluster(runtime, size) as (kafka, processes):
            start = time.monotonic() - begin
            samples.append(Sample(start, _first_record(kafka), _memory(processes)))
        count()
    return samples[0], samples[1]


def _compare(size: int, pairs: list[tuple[Sample, Sample]]) -> list[Row]:
    def row(what: str, unit: str, get: Callable[[Sample], float]) -> Row:
        lab = statistics.median(get(ours) for ours, _ in pairs)
        stock = statistics.median(get(theirs) for _, theirs in pairs)
        ratio = statistics.median(get(theirs) / get(ours) for ours, theirs in pairs)
        return Row(what, unit, lab, stock, ratio, "stock")

    name = "one broker" if size == 1 else f"{size} brokers"
    rows = [row(f"{name}: from start to a client's first metadata", "s", lambda sample: sample.start)]
    if size == 1:
        rows.append(row("first record read through a new group", "s", lambda sample: sample.first_record))
        rows.append(row("memory of the idle broker", "MB", lambda sample: sample.memory / 2**20))
    return rows


@contextlib.contextmanager
def _lab(runtime: Runtime, size: int) -> Iterator[tuple[Cluster, list[Process]]]:
    with private(size, runtime.settings) as kafka:
        brokers = [kafka.broker(number) for number in range(1, size + 1)]
        yield kafka, [broker.process for broker in brokers if broker.process]


@contextlib.contextmanager
def _stock(runtime: Runtime, size: int) -> Iterator[tuple[Cluster, list[Process]]]:
    """Run `size` brokers as Kafka's own scripts start them, on free ports."""
    ports = free_ports(2 * size)
    voters = ",".join(f"{n}@{HOST}:{ports[size + n - 1]}" for n in range(1, size + 1))
    class_path = os.pathsep.join(map(str, runtime.class_path))
    cluster_id = new_id()
    processes: list[Process] = []
    with tempfile.TemporaryDirectory(dir=runtime.settings.home, ignore_cleanup_errors=True) as folder:

        def begin(number: int) -> Process:
            properties = {
                "process.roles": "broker,controller",
                "node.id": number,
                "controller.quorum.voters": voters,
                "controller.listener.names": "CONTROLLER",
                "listeners": f"PLAINTEXT://{HOST}:{ports[number - 1]},CONTROLLER://{HOST}:{ports[size + number - 1]}",
                "log.dirs": f"data-{number}",
                "offsets.topic.replication.factor": size,
                "transaction.state.log.replication.factor": size,
                "transaction.state.log.min.isr": 1,
                "share.coordinator.state.topic.replication.factor": size,
                "share.coordinator.state.topic.min.isr": 1,
            }
            file = Path(folder, f"{number}.properties")
            file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
            tool = [
                str(JAVA),
                "-cp",
                class_path,
                "kafka.tools.StorageTool",
                "format",
                "-t",
                cluster_id,
                "-c",
                file.name,
            ]
            subprocess.run(tool, cwd=folder, env=overlaid(ENVIRONMENT), check=True, capture_output=True)
            flags = [*STOCK_FLAGS, "-XX:-UsePerfData", "-Djava.io.tmpdir=.", *java_marks(runtime.settings, "private")]
            command = [str(JAVA), *flags, "-cp", class_path, "kafka.Kafka", file.name]
            log = Path(folder, f"{number}.log")
            processes.append(Process.start(f"stock broker {number}", command, log, cwd=Path(folder), env=ENVIRONMENT))
            return processes[-1]

        try:
            with ThreadPoolExecutor(size) as pool:
                list(pool.map(begin, range(1, size + 1)))
            everyone = set(range(1, size + 1))
            what = "the stock brokers to answer"
            until(
                lambda: all(everyone <= known_brokers(port) for port in ports[:size]),
                120,
                what,
                every=0.05,
            )
            with Cluster(",".join(f"{HOST}:{port}" for port in ports[:size])) as kafka:
                yield kafka, processes
        finally:
            for process in processes:
                process.kill()


def _first_record(kafka: Cluster) -> float:
    """Return seconds from making a consumer in a new group until it has the first record."""
    topic = kafka.create_topic("97-bench")
    kafka.producer(name="bench-producer").send(topic, b"x").get(timeout=60)
    begin = time.monotonic()
    consumer = kafka.consumer(topic, name="bench-consumer", group_id="97-bench", auto_offset_reset="earliest")
    until(lambda: consumer.poll(timeout_ms=100), 60, "the first record")
    return time.monotonic() - begin


def _memory(processes: list[Process]) -> int:
    """Return the average resident bytes of a broker after two idle seconds."""
    time.sleep(2)  # not a synchronisation: idle time is what is measured
    return sum(process.memory for process in processes) // len(processes)


def _loops(settings: Settings, runs: int, events: int) -> list[Row]:
    """Compare the lessons' helpers with loops by hand."""
    with private(1, settings) as kafka:
        measured = [bench_loops.measure(kafka, events) for _ in range(runs)]
    rows = []
    for what in measured[0]:
        pairs = [each[what] for each in measured]
        helper, by_hand = (statistics.median(each) for each in zip(*pairs, strict=True))
        ratio = statistics.median(theirs / ours for ours, theirs in pairs)
        rows.append(Row(f"{what}, with the lab's helper", "s", helper, by_hand, ratio, "by hand"))
    return rows


PYTHON_SIDE = """
import time
begin = time.monotonic(); from labsupport import lesson; imported = time.monotonic() - begin
begin = time.monotonic(); lesson("97"); down = time.monotonic() - begin
begin = time.monotonic(); lab = lesson("97"); lab.topic("x"); up = time.monotonic() - begin
begin = time.monotonic(); lesson("97"); up = time.monotonic() - begin
print(imported, down, up)
"""


def _python_side(settings: Settings) -> list[Row]:
    """Measure a notebook's first cell: import, `lesson()` with the broker down, and up with a topic to delete."""
    environment = {**os.environ, "LAB_HOME": str(settings.home), "LAB_KAFKA": "embedded"}
    run = subprocess.run(
        [sys.executable, *python_marks(settings, "program"), "-c", PYTHON_SIDE],
        env=environment,
        capture_output=True,
        text=True,
    )
    background.stop_all(settings)
    if run.returncode:
        raise LabError("Could not measure lesson().", run.stderr[-1500:])
    imported, down, up = map(float, run.stdout.splitlines()[-1].split())
    return [
        Row("from labsupport import lesson", "s", imported),
        Row('lesson("NN"), broker down', "s", down),
        Row('lesson("NN"), broker up', "s", up),
    ]
