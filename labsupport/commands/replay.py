"""`python3 lab.py replay`: replay history from the shell. Lesson 11 does the same in Python."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from labsupport.broker.advice import speaking
from labsupport.broker.cluster import Cluster
from labsupport.commands.terminal import MOMENT, YES, connected, console, example, require_ours, require_yes, telling
from labsupport.errors import LabError
from labsupport.history import replay as replaying
from labsupport.history import report
from labsupport.history import reset as resetting
from labsupport.history.replay import Replay
from labsupport.history.replay_report import ReplayReport
from labsupport.history.selection import Selection
from labsupport.learner_file import function_of, in_short
from labsupport.shop.event import Event

OFFSET = click.IntRange(min=0)
SELECTION = (
    click.option("--partition", "partitions", type=OFFSET, multiple=True, help="Only this one; may be repeated."),
    click.option("--start", type=OFFSET, help="From this offset on, in each partition."),
    click.option("--stop", type=OFFSET, help="Up to this offset, without it."),
    click.option("--since", type=MOMENT, help="Records not older than this, such as 2026-04-16T10:30:00Z."),
    click.option("--before", type=MOMENT, help="Records older than this."),
    click.option("--key", "keys", multiple=True, help="Only records with this key; may be repeated."),
    click.option("--type", "types", multiple=True, help="Only events of this type; may be repeated."),
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Read and count, and change nothing.")


def selecting(command: Callable) -> Callable:
    """Add the options that select records to a command."""
    for option in reversed(SELECTION):
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
    """Run history again: send selected records to a topic or a function, rebuild a report, reset a group.

    A replay fixes the end of each partition when it begins. Replayed records carry the header replay_id, so that a
    service can hold back effects on the outside world. A report accounts for every record; after Ctrl-C it says how
    far the replay got.
    """


@replay.command(
    short_help="Send selected records to another topic.",
    **example("python3 lab.py replay send 11-orders 11-again --since 2026-04-16T10:30:00Z --dry-run"),
)
@click.argument("topic")
@click.argument("target")
@selecting
@click.option("--id", "replay_id", default="", help="The replay_id in the mark (default: a new one).")
@DRY_RUN
@YES
def send(topic: str, target: str, replay_id: str, dry_run: bool, yes: bool, **chosen: Any) -> None:
    """Send the selected records of TOPIC to the topic TARGET, unchanged but for the mark.

    First it says what would be sent, and asks. Records that are added to TOPIC meanwhile are not sent.
    """
    with connected() as kafka:
        require_ours(kafka, "send to", target)
        replay_of = _replay(kafka, _selection(topic, chosen), replay_id)

        def run(dry_run: bool) -> ReplayReport:
            with telling(f"Could not send to {target}."):
                sent = replay_of.send(kafka.producer(name="replay-out"), target, dry_run=dry_run)
            console.print(str(sent), markup=False, soft_wrap=True)
            return sent

        if dry_run or not yes:
            would = run(dry_run=True)
            count = would.chosen - sum(would.skipped.values())
            if dry_run or not count:
                return
            require_yes(yes, f"Send {count:,} to {target}?", "Nothing was sent.")
        run(dry_run=False)


@replay.command(
    short_help="Call a function of yours with selected events.",
    **example("python3 lab.py replay handle 11-orders work/mails.py:handle --key ORD-123"),
)
@click.argument("topic")
@click.argument("function")
@selecting
@click.option("--records", is_flag=True, help="Call it with the whole marked record instead of the event.")
@DRY_RUN
def handle(topic: str, function: str, records: bool, dry_run: bool, **chosen: Any) -> None:
    """Call FUNCTION, such as work/mails.py:handle, with each selected event of TOPIC, in partition order."""
    work = function_of(function)
    decode = (lambda record: record) if records else (lambda record: Event.decode(record.value))
    with connected() as kafka:
        replay_of = _replay(kafka, _selection(topic, chosen))
        with telling(f"Could not read {topic}."):
            handled = replay_of.handle(_speaking_for(function, work), decode=decode, dry_run=dry_run)
        console.print(str(handled), markup=False, soft_wrap=True)


@replay.command(
    short_help="Rebuild a report from all events.",
    **example("python3 lab.py replay rebuild 11-orders --group 11-reports-2 --into work/report.db"),
)
@click.argument("topic")
@click.option("--group", required=True, help="A new group, from which a service can continue.")
@click.option("--into", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The report's file.")
def rebuild(topic: str, group: str, into: Path) -> None:
    """Rebuild the report per customer and day from all events in TOPIC, with a new group.

    An interrupted rebuild continues when it is run again with the same group and file.
    """
    with connected() as kafka:
        require_ours(kafka, "commit for", group)
        if not into.exists() and group in kafka.groups():
            raise LabError(
                f"{group} has begun already, and {into} is not there.",
                "the events it has handled would be missing from a new file",
                "give the file that belongs to the group, or the name of a new group",
            )
        consumer = kafka.consumer(name="replay", group_id=group, enable_auto_commit=False)
        with _database(into) as database, telling(f"Could not rebuild from {topic}."):
            rebuilt = report.rebuild(consumer, topic, database)
            console.print(str(rebuilt), markup=False, soft_wrap=True)
            lines, digest = len(report.lines(database)), report.digest(database)
            console.print(f"{into}: {lines} lines, hash {digest}", markup=False, soft_wrap=True)


@replay.command(
    short_help="Reset a group's committed offsets.",
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
@click.option("--shift", "shift_by", type=int, help="Move by this many offsets; a negative number moves back.")
@click.option("--partition", "partitions", type=OFFSET, multiple=True, help="Only this one; may be repeated.")
@DRY_RUN
@YES
def reset(group: str, topic: str, partitions: tuple[int, ...], dry_run: bool, yes: bool, **where: Any) -> None:
    """Reset the offsets of GROUP in TOPIC: to one of --to, --time, --offset, --shift. Stop its members first.

    First it shows the new offsets, and asks.
    """
    if sum(value is not None for value in where.values()) != 1:
        raise click.UsageError("Give one of --to, --time, --offset, --shift.")
    with connected() as kafka, speaking(f"Could not reset {group}."):
        require_ours(kafka, "reset", group)
        kafka.describe(group)  # until it is loaded
        planned = resetting.reset_offsets(
            kafka.admin(), group, topic, partitions=partitions or None, dry_run=True, **where
        )
        if dry_run or not yes:
            console.print(str(planned), markup=False, soft_wrap=True)
        if not dry_run:
            require_yes(yes, f"Set {group} there?", "Nothing was changed.")
            console.print(str(resetting.apply(kafka.admin(), planned)), markup=False, soft_wrap=True)


def _selection(topic: str, chosen: dict[str, Any]) -> Selection:
    given: dict[str, Any] = {name: None if value == () else value for name, value in chosen.items()}
    return Selection(topic, **given)


def _replay(kafka: Cluster, selection: Selection, replay_id: str = "") -> Replay:
    with speaking(f"Could not read {selection.topic}."):
        return replaying.choose(kafka.consumer(name="replay"), selection, replay_id=replay_id)


def _speaking_for(function: str, work: Callable[[Any], object]) -> Callable[[Any], None]:
    """Wrap the function so that an exception becomes a LabError that says where."""

    def called(thing: Any) -> None:
        try:
            work(thing)
        except Exception as error:
            seen = f"{in_short(error)}\nwith {repr(thing)[:300]}"
            raise LabError(f"{function} raised.", seen, "fix it, and replay from there with --start") from error

    return called


@contextlib.contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(report.database(path)) as database:
            yield database
    except sqlite3.Error as error:
        raise LabError(f"{path} cannot be used for a report.", str(error), "give another file") from error
