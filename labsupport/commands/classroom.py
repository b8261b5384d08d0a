"""`python3 lab.py class`: one secured Kafka for a class, users from a list, and a board of what is solved.

Everything may be typed twice: the second time changes nothing.
"""

import contextlib
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.live import Live
from rich.table import Table

from labsupport import client_properties
from labsupport.broker import processes
from labsupport.broker.cluster import Cluster
from labsupport.broker.metadata import reach
from labsupport.classroom import class_broker, handout, outcomes, roster, strimzi, users
from labsupport.commands.terminal import YES, console, example, require_yes
from labsupport.connection import Connection
from labsupport.console import counted
from labsupport.course import board as told_board
from labsupport.course import copies, exercises
from labsupport.errors import LabError
from labsupport.files import storing
from labsupport.settings import Settings

AT = click.option(
    "--at",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The client.properties of an administrator of another Kafka; default: the class's own, here.",
)
LIST = click.argument("class_list", type=click.Path(exists=True, dir_okay=False, path_type=Path))
EVERY = 2.0  # seconds between two looks at the board
UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


class Span(click.ParamType):
    """A time span such as 14d, 12h or 90m; its value is in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Refuse a number without a unit."""
        if isinstance(value, float):
            return value
        number, unit = value[:-1], value[-1:]
        if not number.isdecimal() or unit not in UNITS:
            self.fail(f"{value!r} is not a time such as 14d, 12h or 90m", param, ctx)
        return float(number) * UNITS[unit]


@click.group("class", **example("python3 lab.py class start --name kafka.room", "python3 lab.py class board"))
def classroom() -> None:
    """For teachers: one Kafka for a class, where nobody can hurt anybody, and a board of what is solved."""


@contextlib.contextmanager
def _teacher(at: Path | None) -> Iterator[tuple[Cluster, Connection]]:
    """For the body of a `with`: the class's Kafka with all rights, and how learners connect. It must be up."""
    settings = Settings.from_environment()
    learners = None if at else class_broker.learners_connection(settings)
    file = at or class_broker.teacher_file(settings)
    teacher = client_properties.read(file.resolve())
    next_step = f"correct {file}" if at else "python3 lab.py class start"
    with Cluster(reach(teacher, next_step=next_step), prefix="lab-") as kafka:
        yield kafka, learners or _for_learners(teacher)


@classroom.command(
    **example("python3 lab.py class start --name kafka.room", "python3 lab.py class start --name 192.168.7.20")
)
@click.option("--name", default="", help="The name or address under which the learners' machines find this one.")
@click.option("--port", type=click.IntRange(1, 65535), help=f"Default: {class_broker.PORT}.")
def start(name: str, port: int | None) -> None:
    """Start the class's Kafka on this machine: TLS, a user for each learner, rights and limits. `down` stops it."""
    settings = Settings.from_environment()
    running = class_broker.start(settings, name, port or 0)
    console.print(
        f"The class's Kafka is up at [bold]{running.learners.bootstrap}[/] until you type: python3 lab.py down"
    )
    click.echo(f"Its authority's fingerprint (SHA-256): {running.fingerprint}")  # to rich, :AB: would be an emoji
    host = running.learners.addresses[0][0]
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        console.print(
            f"This machine does not find {host}; the learners' machines have to. Is the name right? Or give this "
            "machine's address: class start --name 192.168.7.20",
            soft_wrap=True,
        )
    console.print("Next: python3 lab.py class add class.txt --to DIR")


@classroom.command(
    **example("python3 lab.py class add class.txt --to files", "… add class.txt --to files --at admin.properties")
)
@LIST
@click.option("--to", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="For the files.")
@click.option("--renew", is_flag=True, help="A new password for those whose file is not there.")
@AT
def add(class_list: Path, folder: Path, renew: bool, at: Path | None) -> None:
    """Make a user for each name in CLASS_LIST (one a line), with rights and limits, and one file each to hand out."""
    names = roster.parse(_text(class_list))
    with _teacher(at) as (kafka, learners):
        added = handout.add(kafka, learners, names, folder, renew=renew)
    _remember_since(Settings.from_environment(), learners.bootstrap, added.new)
    console.print(f"{counted(len(added.new), 'new user')}, {len(added.kept)} as before. Their files are in {folder}.")
    if added.new:
        console.print("Hand out each one's own file. A learner types, in the lab's folder:")
        console.print(f"  LAB_KAFKA_CONFIG={added.new[0]}.properties python3 lab.py", soft_wrap=True)
    if added.without_file:
        console.print(
            f"No file in {folder} has the password of: {', '.join(added.without_file)}. New ones: --renew",
            soft_wrap=True,
        )


def _for_learners(administrator: Connection) -> Connection:
    """How a learner connects to another Kafka: as its administrator, but with SCRAM."""
    if not administrator.sasl:
        raise LabError(
            "The learners cannot connect as the administrator does.",
            f"{administrator.source} has security.protocol={administrator.protocol}, without users and passwords",
            "give a file for a listener with SASL",
        )
    return Connection(administrator.bootstrap, administrator.protocol, "SCRAM-SHA-512", ca=administrator.ca)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise LabError(f"Could not read {file}.", "it is no text in UTF-8", "save it as UTF-8") from None


@classroom.command(name="list", **example("python3 lab.py class list"))
@AT
def list_(at: Path | None) -> None:
    """Show every learner: since when, what they hold on Kafka, and when they last checked an exercise."""
    with _teacher(at) as (kafka, learners):
        names = users.existing(kafka)
        held, bytes_held = _held(kafka)
        seen = outcomes.last_seen(outcomes.read(kafka))
        groups = Counter(users.learner_of(each) for each in kafka.groups("lab-"))
    since = _since(Settings.from_environment(), learners.bootstrap)
    table = Table(
        "learner", "since", "topics", "partitions", "kB", "groups", "last check", box=None, header_style="dim"
    )
    for name in names:
        topics, partitions = held.get(name, (0, 0))
        kilobytes = f"{bytes_held.get(name, 0) / 1000:,.0f}"
        when = _ago(seen[name]) if name in seen else "–"
        table.add_row(name, since.get(name, "–"), str(topics), str(partitions), kilobytes, str(groups[name]), when)
    console.print(table)
    console.print(counted(len(names), "learner"))


def _held(kafka: Cluster) -> tuple[dict[str, tuple[int, int]], Counter[str]]:
    """By learner: topics and partitions; and bytes on all brokers."""
    topics = kafka.topics("lab-")
    described = kafka.ask("the learners' topics", lambda admin: admin.describe_topics(topics)) if topics else []
    held: dict[str, tuple[int, int]] = {}
    for each in described:
        name = users.learner_of(each["name"])
        before = held.get(name, (0, 0))
        held[name] = before[0] + 1, before[1] + len(each["partitions"])
    sizes: Counter[str] = Counter()
    for broker in kafka.ask("the size of the logs", lambda admin: admin.describe_log_dirs(topics)) if topics else []:
        for directory in broker["log_dirs"]:
            for topic in directory["topics"]:
                sizes[users.learner_of(topic["name"])] += sum(each["partition_size"] for each in topic["partitions"])
    return held, sizes


def _ago(at: float) -> str:
    seconds = max(0.0, time.time() - at)
    unit = next((unit for unit in UNITS if seconds >= UNITS[unit]), "s")
    return f"{seconds / UNITS[unit]:.0f} {unit} ago"


@classroom.command(**example("python3 lab.py class board", "python3 lab.py class board --once"))
@click.option("--once", is_flag=True, help="Print it once and end, as in a pipe.")
@AT
def board(once: bool, at: Path | None) -> None:
    """Show who has solved what, live, until Ctrl-C: solved exercises of each lesson, and the last check."""
    with _teacher(at) as (kafka, _):

        def look() -> Table:
            return screen(users.existing(kafka), outcomes.read(kafka))

        if once or not console.is_terminal:
            console.print(look())
            return
        with Live(look(), console=console, auto_refresh=False) as live:
            while True:
                time.sleep(EVERY)
                live.update(look(), refresh=True)


def screen(learners: Sequence[str], told: Sequence[outcomes.Told]) -> Table:
    """The board: a row for each learner, a column for each lesson that somebody has checked an exercise of."""
    lessons = sorted({each.exercise[:2] for each in told})
    of_lesson = Counter(each[:2] for each in exercises.by_id())
    table = Table("learner", *lessons, "last check", box=None, header_style="dim")
    for name in learners:
        own = [each for each in told if each.learner == name]
        solved = Counter(each.exercise[:2] for each in own if each.outcome == outcomes.PASSED)
        touched = {each.exercise[:2] for each in own}
        cells = [f"{solved[lesson]}/{of_lesson[lesson]}" if lesson in touched else "·" for lesson in lessons]
        last = f"{own[-1].exercise} {own[-1].outcome}, {_ago(own[-1].at)}" if own else "–"
        table.add_row(name, *cells, last)
    solved_by_all = Counter(each.exercise[:2] for each in told if each.outcome == outcomes.PASSED)
    table.add_row("solved", *(str(solved_by_all[lesson]) for lesson in lessons), "", style="bold")
    return table


@classroom.command(**example("python3 lab.py class tidy --idle 14d"))
@click.option("--idle", type=Span(), required=True, help="For how long: 14d, 12h, 90m.")
@YES
@AT
def tidy(idle: float, yes: bool, at: Path | None) -> None:
    """Delete topics and groups of learners whose last check is longer ago; users and what they have solved stay."""
    with _teacher(at) as (kafka, _):
        names = users.existing(kafka)
        seen = outcomes.last_seen(outcomes.read(kafka))
        stale = [name for name in names if name in seen and time.time() - seen[name] >= idle]
        if unknown := [name for name in names if name not in seen]:
            console.print(f"Never seen on the board, so left alone: {', '.join(unknown)}", soft_wrap=True)
        if not stale:
            console.print("Nobody has been idle for so long.")
            return
        require_yes(yes, f"Delete the topics and groups of {', '.join(stale)}?", "Nothing was deleted.")
        for name in stale:
            topics, groups = users.delete_all(kafka, name, keep=[told_board.topic_of(name)])
            console.print(f"{name}: {counted(topics, 'topic')} and {counted(groups, 'group')} deleted")


@classroom.command(**example("python3 lab.py class remove anna bela"))
@click.argument("names", nargs=-1, required=True)
@YES
@AT
def remove(names: tuple[str, ...], yes: bool, at: Path | None) -> None:
    """Remove learners and all that is theirs: password, rights, limits, topics, groups, what the board shows."""
    for name in names:
        roster.require(name)
    with _teacher(at) as (kafka, _):
        require_yes(yes, f"Remove {', '.join(names)}, with all topics and groups?", "Nobody was removed.")
        for name in names:
            users.revoke(kafka, name)  # first, so that a running program makes no more
            topics, groups = users.delete_all(kafka, name)
            console.print(f"{name}: removed, with {counted(topics, 'topic')} and {counted(groups, 'group')}")


@classroom.command(name="strimzi", **example("python3 lab.py class strimzi class.txt --cluster school > users.yaml"))
@LIST
@click.option("--cluster", required=True, help="The name of the Kafka resource.")
def strimzi_(class_list: Path, cluster: str) -> None:
    """Print the users as KafkaUser resources, for a Kafka that the Strimzi operator runs."""
    click.echo(strimzi.resources(roster.parse(_text(class_list)), cluster), nl=False)


@classroom.command(
    name="nbgrader", **example("python3 lab.py class nbgrader course", "python3 lab.py class nbgrader course 00 01")
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("lessons", nargs=-1)
def nbgrader_(folder: Path, lessons: tuple[str, ...]) -> None:
    """Write source notebooks for nbgrader into FOLDER/source: a point for each exercise of LESSONS (default: all)."""
    import nbformat

    from labsupport.classroom import nbgrader

    with storing(folder, "FOLDER"):
        for path in copies.lessons_named(lessons or ["all"]):
            made, graded, files = nbgrader.source(nbformat.read(path, as_version=4))
            target = folder / "source" / path.stem / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(nbformat.writes(made) + "\n", encoding="utf-8")
            left = f"; an answer that is a file cannot be graded: {', '.join(files)}" if files else ""
            console.print(f"{path.stem}: {counted(len(graded), 'point')}{left}", soft_wrap=True)
        config = folder / "nbgrader_config.py"
        if not config.exists():
            config.write_text(nbgrader.CONFIG, encoding="utf-8")
    console.print(
        f"Next, in {folder}: LAB_HOME=$PWD/lab nbgrader generate_assignment --create 00_start_here", soft_wrap=True
    )
    console.print("nbgrader must be installed beside the lab; its LAB_HOME keeps the lab's own progress yours.")


def _since_file(settings: Settings) -> Path:
    return class_broker.folder_of(settings) / "since.json"


def _since(settings: Settings, cluster: str) -> dict[str, str]:
    """By learner, the day on which this machine made the user."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads(_since_file(settings).read_text(encoding="utf-8")).get(cluster, {}))
    return {}


def _remember_since(settings: Settings, cluster: str, names: Sequence[str]) -> None:
    from labsupport.broker.process import write_atomically

    today = f"{datetime.now().astimezone():%Y-%m-%d}"
    kept: dict[str, dict[str, str]] = {}
    with contextlib.suppress(OSError, ValueError):
        kept = dict(json.loads(_since_file(settings).read_text(encoding="utf-8")))
    kept[cluster] = kept.get(cluster, {}) | dict.fromkeys(names, today)
    write_atomically(_since_file(settings), json.dumps(kept))


@classroom.command(**example("python3 lab.py class stop"))
def stop() -> None:
    """Stop the class's Kafka on this machine. Users, topics and what is solved stay for the next start."""
    stopped = processes.running(Settings.from_environment(), [processes.CLASS])
    processes.stop(stopped)
    console.print("Stopped: the class's Kafka" if stopped else "The class's Kafka was not running.")
