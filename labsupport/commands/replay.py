"""`python3 lab.py replay`: history run again from the shell. Lesson 11 does the same in Python.

What needs the Kafka client is imported where it is used, so that `lab.py --help` does not wait for it.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labsupport.commands.terminal import MOMENT, YES, connected, console, example, require_ours, require_yes, telling
from labsupport.errors import LabError
from labsupport.learner_file import function_of, in_short

if TYPE_CHECKING:
    from labsupport.broker.cluster import Cluster
    from labsupport.history.replay import Replay, Selection
    from labsupport.history.replay_report import ReplayReport


OFFSET = click.IntRange(min=0)
CHOICE = (
    click.option("--partition", "partitions", type=OFFSET, multiple=True, help="Only this one; may be repeated."),
    click.option("--start", type=OFFSET, help="From this offset on, in each partition."),
    click.option("--stop", type=OFFSET, help="Up to this offset, without it."),
    click.option("--since", type=MOMENT, help="Records not older than this, such as 2026-04-16T10:30:00Z."),
    click.option("--before", type=MOMENT, help="Records older than this."),
    click.option("--key", "keys", multiple=True, help="Only records with this key; may be repeated."),
    click.option("--type", "types", multiple=True, help="Only events of this type; may be repeated."),
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Read and count, and change nothing.")


def choosing(command: Callable) -> Callable:
    """Give a command the options that choose records."""
    for option in reversed(CHOICE):
        command = option(command)
    return command


@click.group(
    short_help="Run history again, or reset a group.",
    **example(
        "python3 lab.py replay send 11-orders 11-again --type OrderCreated --dry-run",
        "python3 lab.py replay reset 11-reports 11-orders --time 2026-04-16T10:30:00Z",
    ),
)
def replay() -> None:
    """Run history again: send chosen records to a topic or to a function, rebuild a report, reset a group.

    Where each partition ends is fixed when a replay begins. What is replayed is marked with the header replay_id, so
    that effects to the outside world can be held back. At the end stands an account of every record; after Ctrl-C, how
    far it came.
    """


@replay.command(
    short_help="Chosen records to another topic.",
    **example("python3 lab.py replay send 11-orders 11-again --since 2026-04-16T10:30:00Z --dry-run"),
)
@click.argument("topic")
@click.argument("target")
@choosing
@click.option("--id", "replay_id", default="", help="The name of this replay in the mark; otherwise one is made.")
@DRY_RUN
@YES
def send(topic: str, target: str, replay_id: str, dry_run: bool, yes: bool, **chosen: Any) -> None:
    """Send the chosen records of TOPIC to the topic TARGET, marked; else as they are.

    First it says what would be sent, and asks. What is added to TOPIC meanwhile is not sent.
    """
    with connected() as kafka:
        require_ours(kafka, "send to", target)
        replaying = _choose(kafka, _choice(topic, chosen), replay_id)

        def run(dry_run: bool) -> "ReplayReport":
            with telling(f"Could not send to {target}."):
                account = replaying.send(kafka.producer(name="replay-out"), target, dry_run=dry_run)
            console.print(str(account), markup=False, soft_wrap=True)
            return account

        if dry_run or not yes:
            would = run(dry_run=True)
            count = would.chosen - sum(would.skipped.values())
            if dry_run or not count:
                return
            require_yes(yes, f"Send {count:,} to {target}?", "Nothing was sent.")
        run(dry_run=False)


@replay.command(
    short_help="Chosen events to a function of yours.",
    **example("python3 lab.py replay handle 11-orders work/mails.py:handle --key ORD-123"),
)
@click.argument("topic")
@click.argument("function")
@choosing
@click.option("--records", is_flag=True, help="Call it with the whole record, which has the mark, not with the event.")
@DRY_RUN
def handle(topic: str, function: str, records: bool, dry_run: bool, **chosen: Any) -> None:
    """Call FUNCTION, such as work/mails.py:handle, with each chosen event of TOPIC, in the order of its partition."""
    from labsupport.shop.event import Event

    work = function_of(function)
    decode = (lambda record: record) if records else (lambda record: Event.decode(record.value))
    with connected() as kafka:
        replaying = _choose(kafka, _choice(topic, chosen))
        with telling(f"Could not read {topic}."):
            account = replaying.handle(_speaking_for(function, work), decode=decode, dry_run=dry_run)
        console.print(str(account), markup=False, soft_wrap=True)


@replay.command(
    short_help="A report, made anew from all events.",
    **example("python3 lab.py replay rebuild 11-orders --group 11-reports-2 --into work/report.db"),
)
@click.argument("topic")
@click.option("--group", required=True, help="A new group; afterwards a service with it goes on from there.")
@click.option("--into", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The report's file.")
def rebuild(topic: str, group: str, into: Path) -> None:
    """Make the report per customer and day anew, from all that TOPIC holds, in a new group.

    Interrupted or killed, it goes on where it was when it is run again with the same group and file.
    """
    from labsupport.history import report

    with connected() as kafka:
        require_ours(kafka, "commit for", group)
        if not into.exists() and group in kafka.groups():
            raise LabError(
                f"{group} has begun already, and {into} is not there.",
                "what it has handled would be missing in a new file",
                "give the file that belongs to the group, or take the name of a new group",
            )
        consumer = kafka.consumer(name="replay", group_id=group, enable_auto_commit=False)
        with _database(into) as database, telling(f"Could not rebuild from {topic}."):
            account = report.rebuild(consumer, topic, database)
            console.print(str(account), markup=False, soft_wrap=True)
            lines, digest = len(report.lines(database)), report.digest(database)
            console.print(f"{into}: {lines} lines, hash {digest}", markup=False, soft_wrap=True)


@replay.command(
    short_help="Set a group to another place.",
    **example(
        "python3 lab.py replay reset 11-reports 11-orders --to earliest --dry-run",
        "python3 lab.py replay reset 11-reports 11-orders --shift=-100 --partition 0",
    ),
)
@click.argument("group")
@click.argument("topic")
@click.option("--to", type=click.Choice(["earliest", "latest"]), help="One end of the log.")
@click.option("--time", type=MOMENT, help="The first record not older than this, such as 2026-04-16T10:30:00Z.")
@click.option("--offset", type=int, help="This offset, in each partition.")
@click.option("--shift", "shift_by", type=int, help="So many offsets on from where it is; negative: back.")
@click.option("--partition", "partitions", type=OFFSET, multiple=True, help="Only this one; may be repeated.")
@DRY_RUN
@YES
def reset(group: str, topic: str, partitions: tuple[int, ...], dry_run: bool, yes: bool, **where: Any) -> None:
    """Set where GROUP goes on in TOPIC: to one of --to, --time, --offset, --shift. Its members must be stopped.

    First it says where the group would go on, and asks.
    """
    from labsupport.broker.advice import speaking
    from labsupport.history import reset

    if sum(value is not None for value in where.values()) != 1:
        raise click.UsageError("Say where: one of --to, --time, --offset, --shift.")
    with connected() as kafka, speaking(f"Could not reset {group}."):
        require_ours(kafka, "reset", group)
        kafka.describe(group)  # until it is loaded
        planned = reset.reset_offsets(kafka.admin(), group, topic, partitions=partitions or None, dry_run=True, **where)
        if dry_run or not yes:
            console.print(str(planned), markup=False, soft_wrap=True)
        if not dry_run:
            require_yes(yes, f"Set {group} there?", "Nothing was changed.")
            console.print(str(reset.apply(kafka.admin(), planned)), markup=False, soft_wrap=True)


def _choice(topic: str, chosen: dict[str, Any]) -> "Selection":
    from labsupport.history.replay import Selection

    return Selection(topic, **{name: None if value == () else value for name, value in chosen.items()})


def _choose(kafka: "Cluster", choice: "Selection", replay_id: str = "") -> "Replay":
    from labsupport.broker.advice import speaking
    from labsupport.history import replay as replaying

    with speaking(f"Could not look into {choice.topic}."):
        return replaying.choose(kafka.consumer(name="replay"), choice, replay_id=replay_id)


def _speaking_for(function: str, work: Callable[[Any], object]) -> Callable[[Any], None]:
    """The function; what it raises becomes a sentence that says where."""

    def called(thing: Any) -> None:
        try:
            work(thing)
        except Exception as error:
            seen = f"{in_short(error)}\nwith {repr(thing)[:300]}"
            raise LabError(f"{function} raised.", seen, "mend it, and replay from there with --start") from error

    return called


@contextlib.contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    from labsupport.history import report

    try:
        with contextlib.closing(report.database(path)) as database:
            yield database
    except sqlite3.Error as error:
        raise LabError(f"{path} cannot be used for a report.", str(error), "give another file") from error
