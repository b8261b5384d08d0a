"""`python3 lab.py dead-letters`: what could not be processed, from the shell. Lesson 10 does the same in Python.

What needs the Kafka client is imported where it is used, so that `lab.py --help` does not wait for it.
"""

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from labsupport.base import LabError
from labsupport.commands.replay import DRY_RUN, choosing
from labsupport.commands.terminal import connected, console, example, require_ours, telling

if TYPE_CHECKING:
    from labsupport.broker.cluster import Cluster
    from labsupport.events.choice import Choice
    from labsupport.events.redrive import Found, Letters

VALUE_SHOWN = 2_000  # characters

FAILED = (
    click.option("--error", default="", help="Only if the error's class or message contains this."),
    click.option("--group", default="", help="Only those that this group could not process."),
)


def choosing_letters(command: Callable) -> Callable:
    """Give a command the options that choose dead letters."""
    command = choosing(command)
    for option in reversed(FAILED):
        command = option(command)
    return command


@click.group(
    "dead-letters",
    short_help="What could not be processed: look at it, send it back.",
    **example(
        "python3 lab.py dead-letters list 09-orders-dlt",
        "python3 lab.py dead-letters redrive 09-orders-dlt --error ValueError --dry-run",
    ),
)
def dead_letters() -> None:
    """Look at dead letters, and send them back to be processed after all. TOPIC is a dead letter topic, `…-dlt`."""


@dead_letters.command(
    "list",
    short_help="The dead letters of a topic.",
    **example("python3 lab.py dead-letters list 09-orders-dlt --error ValueError --key ORD-123"),
)
@click.argument("topic")
@choosing_letters
@click.option("--most", type=click.IntRange(min=1), default=20, show_default=True, help="Rows of the table.")
def list_letters(topic: str, most: int, **chosen: Any) -> None:
    """List the chosen dead letters of TOPIC: where each is and was, who could not process it, and why."""
    with connected() as kafka:
        letters = _letters(kafka, _choice(topic, chosen))
    table = Table("dead letter", "of", "group", "tries", "error", "sent back", box=None, header_style="dim")
    for each in letters.found[:most]:
        letter = each.letter
        cells = (each.place, letter.place, letter.group, str(letter.attempts), _short(letter.error))
        table.add_row(*cells, "yes" if each.sent else "no")
    if letters.found:
        console.print(table)
    if len(letters.found) > most:
        console.print(f"… and {len(letters.found) - most:,} more (--most)")
    _sum_up(topic, letters)


@dead_letters.command(
    short_help="One dead letter, whole.", **example("python3 lab.py dead-letters show 09-orders-dlt/0/17")
)
@click.argument("place")
def show(place: str) -> None:
    """Show the dead letter at PLACE, topic/partition/offset as `list` prints it."""
    from labsupport.events import redrive

    parts = re.fullmatch(r"([^/]+)/(\d+)/(\d+)", place)
    if not parts:
        raise click.UsageError(f"{place!r} is not topic/partition/offset, such as 09-orders-dlt/0/17.")
    topic, partition, offset = parts[1], int(parts[2]), int(parts[3])
    with connected() as kafka:
        letters = _letters(kafka, redrive.choice(topic, partitions=[partition], start=offset, stop=offset + 1))
    if not letters.found:
        raise LabError(
            f"There is no dead letter at {place}.", str(letters.account), "lab.py dead-letters list names all"
        )
    for line in _whole(letters.found[0]):
        console.print(line, markup=False, soft_wrap=True)


@dead_letters.command(
    short_help="Send them back.",
    **example(
        "python3 lab.py dead-letters redrive 09-orders-dlt --error ValueError --dry-run",
        "python3 lab.py dead-letters redrive 09-orders-dlt --only-its-group --yes",
    ),
)
@click.argument("topic")
@choosing_letters
@click.option("--only-its-group", is_flag=True, help="Each for the group that could not process it, and no other.")
@DRY_RUN
@click.option("--yes", is_flag=True, help="Do not ask.")
def redrive(topic: str, only_its_group: bool, dry_run: bool, yes: bool, **chosen: Any) -> None:
    """Send the chosen dead letters of TOPIC back to where they came from; first what would be sent, then a question.

    What was sent back before is not sent again; so one that was interrupted is simply typed once more.
    """
    from contextlib import closing

    from labsupport.events import redrive as redriving
    from labsupport.events.exact import ExactProducer

    choice = _choice(topic, chosen)
    with connected() as kafka, closing(ExactProducer(kafka.bootstrap)) as producer:
        for target in sorted({each.letter.topic for each in _letters(kafka, choice).found}):
            require_ours(kafka, "send to", target)

        def run(dry_run: bool) -> Any:
            with telling(f"Could not redrive {topic}."):
                consumer = kafka.consumer(name="redrive")
                return redriving.redrive(consumer, producer, choice, addressed=only_its_group, dry_run=dry_run)

        would = run(dry_run=True)
        console.print(str(would), markup=False, soft_wrap=True)
        count = would.chosen - sum(would.skipped.values())
        if dry_run or not count:
            return
        if not yes and not click.confirm(f"Send {count:,} back?"):
            console.print("Nothing was sent.")
            sys.exit(1)
        console.print(str(run(dry_run=False)), markup=False, soft_wrap=True)


def _choice(topic: str, chosen: dict[str, Any]) -> "Choice":
    from labsupport.events import redrive

    return redrive.choice(topic, **{name: None if value == () else value for name, value in chosen.items()})


def _letters(kafka: "Cluster", choice: "Choice") -> "Letters":
    from labsupport.events import redrive

    with telling(f"Could not look into {choice.topic}."):
        return redrive.letters(kafka.consumer(name="redrive"), choice)


def _short(error: str) -> str:
    return error.rpartition(".")[2]


def _sum_up(topic: str, letters: "Letters") -> None:
    from labsupport.events.account import UNREADABLE

    count, sent = len(letters.found), sum(each.sent for each in letters.found)
    errors = ", ".join(f"{number:,} {_short(error)}" for error, number in letters.by_error.items())
    console.print(f"{count:,} dead letters in {topic}{f': {errors}' if errors else ''}; {sent:,} were sent back")
    if unread := letters.account.skipped.get(UNREADABLE):
        console.print(f"{unread:,} more lie there that this client cannot read:")
        for each in letters.account.examples:
            console.print(f"  {each}", markup=False, soft_wrap=True)
    if foreign := letters.account.skipped.get("no dead letter"):
        console.print(f"{foreign:,} records there are no dead letters: is it the topic of dead letters, …-dlt?")


def _whole(found: "Found") -> list[str]:
    from datetime import timedelta

    from labsupport.events.stretches import EPOCH
    from labsupport.experiments.log import text

    letter = found.letter
    value = text(letter.value)
    more = f" … {len(value) - VALUE_SHOWN:,} characters more" if len(value) > VALUE_SHOWN else ""
    return [
        f"dead letter  {found.place}, written {found.written:%Y-%m-%dT%H:%M:%SZ}",
        f"record       {letter.place}, of {EPOCH + timedelta(milliseconds=letter.timestamp):%Y-%m-%dT%H:%M:%SZ}",
        f"group        {letter.group}, {letter.attempts} attempts",
        f"error        {letter.error}: {letter.message}",
        f"sent back    {'yes' if found.sent else 'no'}",
        f"key          {text(letter.key)}",
        *(f"header       {name}: {text(each)}" for name, each in letter.headers),
        f"value        {value[:VALUE_SHOWN]}{more}",
    ]
