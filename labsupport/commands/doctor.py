"""`python3 lab.py doctor`: one screen that says what is wrong and what to type.

It changes nothing: it asks Kafka through a topic and a group of its own, and deletes them again.
Each check is a function that returns a `Line`. Its subject is an argument, so that a test can break one at a time.
Each check imports what it needs, so that a missing or broken package costs one line only.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labsupport.commands.doctor_checks import (
    LAB,
    Line,
    afresh,
    begin,
    careful,
    disk,
    lessons,
    memory,
    runs_programs,
)
from labsupport.commands.terminal import console, example
from labsupport.connection import Connection
from labsupport.errors import LabError
from labsupport.settings import Settings

if TYPE_CHECKING:
    from labsupport.broker.cluster import Cluster

TEMPORARY = Path("/tmp" if sys.platform == "linux" else tempfile.gettempdir())  # Java's own, whatever TMPDIR says
CLOCK_MAY_DIFFER = 60.0  # seconds; Kafka refuses records dated more than an hour ahead
OLDEST_KAFKA = (2, 3)  # what removing the members of a killed kernel needs


@click.command(**example("python3 lab.py doctor", "python3 lab.py doctor --json"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, for programs.")
def doctor(as_json: bool) -> None:
    """Check everything that the lab needs, and say in one screen what is wrong. Exit code 1 if anything is."""
    lines = []
    for line in examine(Settings.from_environment()):
        lines.append(line)
        if not as_json:
            console.print("  ok   " if line.ok else "[bold red]wrong  [/]", end="")
            console.print(f"{line.what}: {line.seen}", markup=False, soft_wrap=True)
            if not line.ok:
                console.print(f"       → {line.next_step}", markup=False, soft_wrap=True)
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines]))
    sys.exit(0 if all(line.ok for line in lines) else 1)


def examine(settings: Settings) -> Iterator[Line]:
    """Yield every line in turn. A check that raises becomes a line too."""
    from labsupport.course.copies import NOTEBOOKS

    checks: list[tuple[str, Callable[[], Line]]] = [
        *begin(settings.work),
        ("disk", lambda: disk([settings.work, settings.home, settings.cache])),
        ("memory", memory),
        ("temporary folder", lambda: runs_programs(TEMPORARY)),
        ("Java", java),
        ("Kafka's jars", lambda: kafka_jars(settings)),
        ("start-up cache", lambda: startup_cache(settings)),
        ("JupyterLab", jupyter),
        ("lessons", lambda: lessons(NOTEBOOKS, settings.work)),
        ("left over", lambda: left_over(settings)),
        ("port 9092", lambda: port(settings)),
        ("schema registry", lambda: registry(settings)),
    ]
    for what, check in checks:
        yield careful(what, check)
    yield from _kafka(settings)


def _kafka(settings: Settings) -> Iterator[Line]:
    """Yield the lines that need Kafka; if it does not answer, one line says so."""
    if from_file := settings.secured:
        yield careful("LAB_KAFKA_CONFIG", lambda: secured(from_file))
    found = careful("Kafka", lambda: address(settings))
    yield found
    if not found.ok:
        return
    from labsupport.broker.cluster import Cluster

    connection = settings.connection_to(found.seen)
    reachable = careful("advertised address", lambda: advertised(connection))
    yield reachable
    if not reachable.ok:
        return
    with Cluster(connection, prefix=settings.prefix) as cluster:
        yield careful("Kafka's version", lambda: kafka(cluster.admin()._manager.broker_version))
        yield careful("one event out and back", lambda: event(cluster))
        yield careful("clock", lambda: clock(*broker_time(cluster)))
        yield careful("groups", lambda: groups(cluster))


def java(program: Path | None = None) -> Line:
    """Check that Java starts in the lab's environment."""
    from labsupport.broker import java_ended
    from labsupport.broker.java_runtime import ENVIRONMENT, JAVA
    from labsupport.broker.process import overlaid

    command = [str(program or JAVA), "-Xmx256m", "-version"]
    try:
        run = subprocess.run(command, env=overlaid(ENVIRONMENT), capture_output=True, text=True, timeout=60)
    except OSError as error:
        return Line("Java", False, str(error), f"{LAB} setup")
    cause, remedy = java_ended.cause(run.stdout + run.stderr) if run.returncode else ("", "")
    first = (cause or run.stderr or run.stdout).partition("\n")[0]
    return Line("Java", run.returncode == 0, first or f"exit code {run.returncode}", remedy or f"{LAB} setup")


def kafka_jars(settings: Settings) -> Line:
    """Check that all pinned jars are there, with their checksums."""
    from labsupport.broker import jars

    folder = jars.folder_of(settings)
    bad = [jar.file_name for jar in jars.missing(jars.pinned(), folder)]
    seen = f"{len(bad)} missing or altered: {', '.join(bad[:2])}" if bad else f"{len(jars.pinned())} verified"
    return Line("Kafka's jars", not bad, seen, f"{LAB} up")


def startup_cache(settings: Settings) -> Line:
    """Check the start-up cache. Without it everything works, more slowly."""
    from labsupport.broker.java_runtime import intact, startup_cache_path

    cache = startup_cache_path(settings)
    failed = cache.with_suffix(".failed")
    if intact(cache):
        return Line("start-up cache", True, f"{cache.stat().st_size / 1e6:.0f} MB")
    if failed.exists():
        why = failed.read_text(encoding="utf-8").strip().splitlines() or ["no reason was recorded"]
        return Line("start-up cache", False, f"could not be made: {why[0]}", afresh(failed, "up"))
    return Line("start-up cache", True, "not made yet; the next start makes it")


def jupyter(interpreter: str = sys.executable, kernels: Sequence[str] | None = None) -> Line:
    """Check that JupyterLab is there, and that a notebook's kernel runs the lab's Python."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_core.paths import ENV_JUPYTER_PATH

    kept = [str(Path(each, "kernels")) for each in ENV_JUPYTER_PATH]  # not the user's, see start.environment
    program = KernelSpecManager(kernel_dirs=list(kernels or kept)).get_kernel_spec("python3").argv[0]
    # A bare name is replaced by the interpreter that runs JupyterLab.
    same = Path(program).name == program or Path(program).absolute() == Path(interpreter).absolute()
    own = version("jupyterlab") if find_spec("jupyterlab") else "none; another Jupyter opens the lessons"
    seen = f"{own}; notebooks run {interpreter if same else program}"
    return Line("JupyterLab", same, seen, f"{LAB} setup")


def left_over(settings: Settings) -> Line:
    """Find brokers whose program has ended."""
    from labsupport.broker import processes

    orphans = [each.process.pid for each in processes.running(settings) if each.orphan]
    seen = f"brokers of a program that has ended: pid {', '.join(map(str, orphans))}" if orphans else "nothing"
    return Line("left over", not orphans, seen, f"{LAB} down")


def port(settings: Settings, number: int = 9092) -> Line:
    """Look at the port that Kafka's tools expect. If it is taken, the lab uses another: a remark, not a fault."""
    from labsupport.broker import background
    from labsupport.broker.metadata import in_use

    what = f"port {number}"
    if background.address(settings).endswith(f":{number}"):
        return Line(what, True, "the lab's Kafka")
    return Line(what, True, "taken by another program; the lab's Kafka uses a free one" if in_use(number) else "free")


def registry(settings: Settings) -> Line:
    """Check that the schema registry answers: LAB_REGISTRY's, or this checkout's if it runs."""
    from labsupport.registry.registry import Registry, running_at

    what = "schema registry"
    if settings.registry:
        return Line(what, True, f"{Registry.named(settings).url} (LAB_REGISTRY)")
    if not (url := running_at(settings)):
        return Line(what, True, "not running; lesson 13 starts its own")
    try:
        Registry(url).reach()
    except LabError as error:
        return Line(what, False, error.seen, f"{LAB} down && {LAB} up --registry")
    return Line(what, True, url)


def address(settings: Settings) -> Line:
    """Check that Kafka answers; `seen` is its address."""
    from labsupport.broker import background
    from labsupport.broker.metadata import reach

    if not settings.embedded:
        return Line("Kafka", True, reach(settings.connection).bootstrap)
    there = background.address(settings)
    if not there:
        return Line("Kafka", False, "it is not running", f"{LAB} up")
    return Line("Kafka", True, reach(settings.connection_to(there), next_step=f"{LAB} down && {LAB} up").bootstrap)


def secured(connection: Connection) -> Line:
    """Check the file of LAB_KAFKA_CONFIG, which has been read: how it connects, and who else may read it."""
    from labsupport.client_properties import readable_by_others

    what, file = "LAB_KAFKA_CONFIG", connection.source
    how = " ".join(
        filter(None, [connection.protocol, connection.mechanism, f"as {connection.user}" if connection.user else ""])
    )
    seen = f"{file}: {how}" + (f"; not used: {', '.join(connection.unused)}" if connection.unused else "")
    if file and (connection.password or connection.key) and readable_by_others(file):
        return Line(what, False, f"{seen}; other users of this machine may read it", f'chmod 600 "{file}"')
    return Line(what, True, seen)


def advertised(connection: Connection) -> Line:
    """Check that the addresses which the brokers advertise can be reached from here."""
    from labsupport.broker.metadata import ask, written
    from labsupport.errors import NotKafkaError

    what = "advertised address"
    asked = connection.addresses[0]
    for host, number in ask(*asked, connection=connection).brokers.values():
        try:
            ask(host, number, connection=connection)
        except (OSError, NotKafkaError) as error:
            wrong, right = written([(host, number)]), written([asked])
            seen = f"Kafka at {right} sends clients to {wrong}, which does not answer ({error})"
            mend = f"in that broker's settings: advertised.listeners={connection.protocol}://{right}"
            return Line(what, False, seen, mend)
    return Line(what, True, written(list(ask(*asked, connection=connection).brokers.values())))


def kafka(seen: tuple[int, ...]) -> Line:
    """Check the broker's version, as far as its protocol shows it."""
    shown = ".".join(map(str, seen))
    return Line("Kafka's version", seen >= OLDEST_KAFKA, f"{shown} or newer", "unset LAB_KAFKA")


def event(cluster: "Cluster") -> Line:
    """Send one event, and receive it through a group."""
    from labsupport.commands.round_trip import round_trip

    return Line("one event out and back", True, f"{round_trip(cluster):.1f} s")


def broker_time(cluster: "Cluster") -> tuple[float, float]:
    """Read the broker's clock and this machine's at the same moment, in seconds since 1970."""
    topic = cluster.create_topic(f"{cluster.prefix}00-clock-{time.time_ns()}", message_timestamp_type="LogAppendTime")
    try:
        producer = cluster.producer(name="doctor-clock")
        producer.send(topic, b"first").get(timeout=10)  # opens the connections
        there = producer.send(topic, b"now").get(timeout=10).timestamp / 1000
        return there, time.time()
    finally:
        cluster.close_client("doctor-clock")
        cluster.delete_topics([topic])


def clock(there: float, here: float) -> Line:
    """Compare the clocks of this machine and of the broker."""
    ahead = here - there
    seen = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the broker's"
    mend = "sudo timedatectl set-ntp true" if sys.platform == "linux" else "let the system set its clock by the network"
    return Line("clock", abs(ahead) <= CLOCK_MAY_DIFFER, seen if abs(ahead) >= 1 else "agrees with the broker's", mend)


def groups(cluster: "Cluster") -> Line:
    """List the lab's groups that have members: an open notebook's, or a killed one's."""
    ours = [name for name in cluster.groups() if cluster.is_ours(name)]
    busy = [name for name in ours if cluster.describe(name).members]
    stale = [name for name in [*ours, *cluster.topics()] if re.search(r"00-(proof|clock)-", name)]
    if stale:
        return Line("groups", False, f"left over: {', '.join(stale[:3])}", f"{LAB} wipe")
    return Line("groups", True, f"with members: {', '.join(busy)}" if busy else f"{len(ours)}, none with members")
