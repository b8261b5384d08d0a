"""`python3 lab.py dead-letters`: show and redrive dead letters from the shell. Lesson 10 does the same in Python."""

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from typing import Any

import click
from rich.cells import cell_len, set_cell_size

from labsupport.broker.cluster import Cluster
from labsupport.commands.replay import DRY_RUN, selecting
from labsupport.commands.terminal import YES, connected, console, example, require_ours, require_yes, telling
from labsupport.delivery.record_time import time_in_words
from labsupport.errors import LabError
from labsupport.experiments.watching.log import text
from labsupport.files import digest
from labsupport.history import redrive as redriving
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.history.redrive import Found, Letters
from labsupport.history.replay_report import UNREADABLE
from labsupport.history.selection import Selection
from labsupport.settings import Settings
from labsupport.waiting import only_one

VALUE_SHOWN = 2_000  # characters
MESSAGE, KEY = 20, 16  # characters: the least of a message beside all else; the most of a key in a narrow terminal
UNKNOWN = "unknown"

FAILED = (
    click.option("--error", default="", help="Only if the error's class or message contains this."),
    click.option("--group", default="", help="Only those that this group could not process."),
)


def selecting_letters(command: Callable) -> Callable:
    """Add the options that select dead letters to a command."""
    command = selecting(command)
    for option in reversed(FAILED):
        command = option(command)
    return command


@click.group(
    "dead-letters",
    short_help="Look at failed events, and send them back.",
    **example(
        "python3 lab.py dead-letters list 09-orders-dlt",
        "python3 lab.py dead-letters redrive 09-orders-dlt --error ValueError --dry-run",
    ),
)
def dead_letters() -> None:
    """Look at dead letters, and send them back to be processed again. TOPIC is a dead letter topic, `…-dlt`."""


@dead_letters.command(
    "list",
    short_help="List the dead letters of a topic.",
    **example("python3 lab.py dead-letters list 09-orders-dlt --error ValueError --key ORD-123"),
)
@click.argument("topic")
@selecting_letters
@click.option("--most", type=click.IntRange(min=1), default=20, show_default=True, help="Rows of the table.")
def list_letters(topic: str, most: int, **chosen: Any) -> None:
    """List the selected dead letters of TOPIC: their coordinates, the original record, the group, and the error.

    A narrow terminal shows coordinates, key, error and message. In a pipe nothing is cut.
    """
    with connected() as kafka:
        letters = _letters(kafka, _selection(topic, chosen))
        for line in table(letters.found[:most], width()):
            console.print(line, markup=False, soft_wrap=True)
        if len(letters.found) > most:
            console.print(f"… and {len(letters.found) - most:,} more (--most)")
        _sum_up(topic, letters)
        if not letters.found:
            _why_nothing(kafka, topic, chosen)


@dead_letters.command(
    short_help="Show one dead letter in full.", **example("python3 lab.py dead-letters show 09-orders-dlt/0/17")
)
@click.argument("coordinates")
def show(coordinates: str) -> None:
    """Show the dead letter at COORDINATES: topic/partition/offset, as `list` prints it."""
    parts = re.fullmatch(r"([^/]+)/(\d+)/(\d+)", coordinates)
    if not parts:
        raise click.UsageError(f"{coordinates!r} is not topic/partition/offset, such as 09-orders-dlt/0/17.")
    topic, partition, offset = parts[1], int(parts[2]), int(parts[3])
    with connected() as kafka:
        letters = _letters(kafka, redriving.selection(topic, partitions=[partition], start=offset, stop=offset + 1))
    if not letters.found:
        seen = (
            [str(letters.report)]
            if letters.report.read
            else ["there is no record at this offset that a service would get"]
        )
        raise LabError(
            f"There is no dead letter at {coordinates}.",
            "\n".join(seen),
            f"list them: python3 lab.py dead-letters list {topic}",
        )
    for line in _whole(letters.found[0]):
        console.print(line, markup=False, soft_wrap=True)


@dead_letters.command(
    short_help="Send dead letters back.",
    **example(
        "python3 lab.py dead-letters redrive 09-orders-dlt --error ValueError --dry-run",
        "python3 lab.py dead-letters redrive 09-orders-dlt --only-its-group --yes",
    ),
)
@click.argument("topic")
@selecting_letters
@click.option("--only-its-group", is_flag=True, help="Send each only to the group that could not process it.")
@click.option(
    "--widen",
    is_flag=True,
    help="Also send to every group what was sent to one group before; that group gets it twice.",
)
@DRY_RUN
@YES
def redrive(topic: str, only_its_group: bool, widen: bool, dry_run: bool, yes: bool, **chosen: Any) -> None:
    """Send the selected dead letters of TOPIC back to their original topics. First show what would be sent, and ask.

    It sends exactly what it asked about. Letters that were sent back before are not sent again, so you can repeat an
    interrupted command.
    """
    if only_its_group and widen:
        raise click.UsageError("Give either --only-its-group or --widen.")
    with connected() as kafka:
        with telling(f"Could not read {topic}."):
            consumer = kafka.consumer(name="redrive")
            ours = partial(require_ours, kafka, "send to")
            letters = _selection(topic, chosen)
            plan = redriving.plan(consumer, letters, addressed=only_its_group, widen=widen, allow=ours)
        would = plan.report
        console.print(str(would), markup=False, soft_wrap=True)
        if would.skipped.get(redriving.ADDRESSED):
            console.print(
                "  (--only-its-group sends them to the groups that have not received them yet, --widen to all)"
            )
        if not would.chosen:
            _why_nothing(kafka, topic, chosen)
        count = would.chosen - sum(would.skipped.values())
        if dry_run or not count:
            return
        require_yes(yes, f"Send {count:,} back?", "Nothing was sent.")
        with _one_at_a_time(topic), telling(f"Could not redrive {topic}."):
            with closing(ConfluentProducer(kafka.connection)) as producer:
                sent = plan.send(producer)
            console.print(str(sent), markup=False, soft_wrap=True)


def _one_at_a_time(topic: str) -> AbstractContextManager[None]:
    """Let one redrive on this machine send at a time, so that the next one sees what was sent."""
    settings = Settings.from_environment()
    lock = settings.home / f"redrive-{digest(settings.kafka, topic)}.lock"
    return only_one(lock, f"sending dead letters of {topic} back")


def _selection(topic: str, chosen: dict[str, Any]) -> Selection:
    given: dict[str, Any] = {name: None if value == () else value for name, value in chosen.items()}
    return redriving.selection(topic, **given)


def _letters(kafka: Cluster, selection: Selection) -> Letters:
    with telling(f"Could not read {selection.topic}."):
        return redriving.letters(kafka.consumer(name="redrive"), selection)


def width() -> int | None:
    """Return how many characters a line may have; None in a pipe, unless COLUMNS is set."""
    return console.width if console.is_terminal or os.environ.get("COLUMNS") else None


def table(found: Sequence[Found], most: int | None) -> list[str]:
    """Format a row for each letter: all columns if they fit into `most` characters, else the important ones.

    Coordinates are never cut, because `show` needs them. If `most` is None, nothing is cut.
    """
    if not found:
        return []
    rows = [_row(each) for each in found]
    lines = _aligned(("dead letter", "of", "group", "tries", "key", "sent back", "error", "message"), rows)
    fixed = _aligned(("dead letter", "of", "group", "tries", "key", "sent back", "error"), rows)
    if most is None or max(map(cell_len, fixed)) + MESSAGE <= most:
        return [_cut(line, most) for line in lines]
    for row in rows:
        row |= {"sent": row["sent back"], "key": _cut(row["key"], KEY)}
        row["why"] = ": ".join(filter(None, (row["error"], row["message"])))
    if max(map(cell_len, _aligned(("dead letter", "sent", "key"), rows))) + MESSAGE <= most:
        return [_cut(line, most) for line in _aligned(("dead letter", "sent", "key", "why"), rows)]
    return [
        line
        for row in rows
        for line in (row["dead letter"], _cut(f"  {row['key']}  {row['why']}", most), f"  sent back: {row['sent']}")
    ]


def _row(each: Found) -> dict[str, str]:
    letter = each.letter
    return {
        "dead letter": each.coordinates,
        "of": letter.coordinates,
        "group": _in_line(letter.group) or UNKNOWN,
        "tries": str(letter.attempts or UNKNOWN),
        "key": _in_line(text(letter.key)),
        "sent back": "yes" if each.sent else "no",
        "error": _in_line(_short(letter.reason)) or UNKNOWN,
        "message": _in_line(letter.message),
    }


def _aligned(columns: Sequence[str], rows: Sequence[dict[str, str]]) -> list[str]:
    cells = [dict(zip(columns, columns, strict=True)), *rows]
    widths = {name: max(cell_len(row[name]) for row in cells) for name in columns}
    return [
        "  ".join(row[name] + " " * (widths[name] - cell_len(row[name])) for name in columns).rstrip() for row in cells
    ]


def _in_line(words: str) -> str:
    """Return the words in one line, without control characters."""
    return "".join(each if each.isprintable() else " " for each in words)


def _cut(line: str, most: int | None) -> str:
    if most is None or cell_len(line) <= most:
        return line
    return set_cell_size(line, most - 1).rstrip() + "…"


def _short(error: str) -> str:
    return error.rpartition(".")[2]


def _sum_up(topic: str, letters: Letters) -> None:
    count, sent = len(letters.found), sum(each.sent for each in letters.found)
    errors = ", ".join(f"{number:,} {_short(error)}" for error, number in letters.by_error.items())
    console.print(
        f"{count:,} dead letters in {topic} ({letters.report.isolation}){f': {errors}' if errors else ''}; "
        f"{sent:,} were sent back",
        markup=False,
        soft_wrap=True,
    )
    for part in letters.report.ranges:
        for note in part.notes:
            console.print(f"  partition {part.partition}: {note}", markup=False, soft_wrap=True)
    if unread := letters.report.skipped.get(UNREADABLE):
        console.print(f"{unread:,} more cannot be read by this client:")
        for each in letters.report.examples:
            console.print(f"  {each}", markup=False, soft_wrap=True)
    if foreign := letters.report.skipped.get("no dead letter"):
        console.print(
            f"{foreign:,} records in it are no dead letters. Is it a dead letter topic, …-dlt?", soft_wrap=True
        )
        for example_ in letters.report.examples:
            console.print(f"  {example_}", markup=False, soft_wrap=True)


def _why_nothing(kafka: Cluster, topic: str, chosen: dict[str, Any]) -> None:
    """If no dead letter has this group or error, name those that there are."""
    for name, of in (("group", lambda letter: letter.group), ("error", lambda letter: letter.reason)):
        if given := chosen.get(name):
            others = _letters(kafka, _selection(topic, chosen | {name: ""})).found
            there = Counter(of(each.letter) or UNKNOWN for each in others).most_common(10)
            if there:
                named = ", ".join(f"{each} ({count:,})" for each, count in there)
                console.print(f"None with --{name} {given}. There are: {named}", markup=False, soft_wrap=True)


def _attempts(count: int) -> str:
    if not count:
        return "attempts unknown"
    return f"{count} attempt{'s' * (count != 1)}"


def _whole(found: Found) -> list[str]:
    letter = found.letter
    written = f"{found.written:%Y-%m-%dT%H:%M:%SZ}" if found.written else "at an unknown time"
    error = ": ".join(filter(None, (letter.error, letter.message)))
    value = text(letter.value)
    more = f" … {len(value) - VALUE_SHOWN:,} characters more" if len(value) > VALUE_SHOWN else ""
    return [
        f"dead letter  {found.coordinates}, written {written}",
        f"record       {letter.coordinates}, of {time_in_words(letter.timestamp)}",
        f"group        {letter.group or UNKNOWN}, {_attempts(letter.attempts)}",
        f"error        {error or UNKNOWN}",
        *([f"cause        {letter.cause}"] if letter.cause else []),
        f"sent back    {'yes' if found.sent else 'no'}",
        f"key          {text(letter.key)}",
        *(f"header       {name}: {text(each)}" for name, each in letter.headers),
        f"value        {value[:VALUE_SHOWN]}{more}",
    ]
