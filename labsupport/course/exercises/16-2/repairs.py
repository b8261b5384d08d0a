"""The commands of a repair: which are allowed, and how they run on a fresh copy of the morning, without a shell."""

import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from labsupport.course.lab import Lab
from labsupport.course.outcomes import TryAgain

from .form import Finding, Line

SELECTION = ("--partition", "--start", "--stop", "--since", "--before", "--key", "--type")
PYTHON = r"(?:(?:\"[^\"]*python[\d.]*(?:\.exe)?\"|\S*python[\d.]*(?:\.exe)?|py(?: -3)?|\"?\{sys\.executable\}\"?)\s+)?"
PROMPT = re.compile(
    rf"^(?:[$!%]\s*)?(?:\{{command\}}\s+|{PYTHON}(?:-m\s+labsupport\s+|\"?(?:\S*[/\\])?lab\.py\"?\s+)?)"
)
SHELL = ("&&", "||", "|", "&", ">", ">>", "<")
MOMENTS = ("--time", "--since", "--before")  # options
MOST = 6  # commands in a repair
LONGEST = 500  # characters
TOPIC, LETTERS, GROUP = "topic", "dead letter topic", "group"
NAMES = {TOPIC: ("orders",), LETTERS: ("orders-dlt",), GROUP: ("payments", "mails")}  # behind the day


class Form(NamedTuple):
    """What an allowed command takes: its arguments, the options that have a value, and those that have none."""

    arguments: tuple[str, ...]
    options: tuple[str, ...]
    flags: tuple[str, ...] = ()


COMMANDS = {
    "replay reset": Form((GROUP, TOPIC), ("--to", "--time", "--offset", "--shift", "--partition")),
    "replay send": Form((TOPIC, TOPIC), (*SELECTION, "--id")),
    "dead-letters redrive": Form((LETTERS,), (*SELECTION, "--error", "--group"), ("--only-its-group", "--widen")),
}


class Command(NamedTuple):
    """An allowed command: the line that it comes from, and its words."""

    line: Line
    words: tuple[str, ...]


def commands(finding: Finding, prefix: str) -> list[Command]:
    """The commands of a finding's repair; the names of the morning begin with `prefix`. Pure.

    Raises TryAgain for a command that is not allowed, or that names anything but the morning's topics and groups.
    """
    if len(finding.repair) > MOST:
        raise finding.repair[MOST].wrong(f"a repair has {MOST} commands at most.", "one can select several events")
    return [Command(line, _words(line, prefix)) for line in finding.repair]


def run(lab: Lab, repair: Sequence[Command], theirs: str, ours: str) -> None:
    """Run these commands on the copy of the morning whose names begin with `ours`, instead of with `theirs`.

    Raises TryAgain for a command that fails.
    """
    for line, words in repair:
        with lab.python("-m", "labsupport", *(word.replace(theirs, ours) for word in words), "--yes") as command:
            ended = command.wait(timeout=60)
        if ended.exit_code:
            raise TryAgain(
                says=f"Line {line.number}: this command failed.",
                given=line.text,
                came_back=ended.printed.strip()[-400:].replace(ours, theirs),
                look_at="try it on your own morning; with --dry-run it changes nothing",
            )


def _words(line: Line, prefix: str) -> tuple[str, ...]:
    if len(line.text) > LONGEST or not line.text.isprintable():
        raise line.wrong("this is no command.", f"it has {LONGEST} characters at most, all of which can be seen")
    try:
        words = shlex.split(PROMPT.sub("", line.text), comments=True)
    except ValueError as error:
        raise line.wrong(f"this is no command: {error}.", "is there a quotation mark too many?") from None
    name = " ".join(words[:2])
    if name not in COMMANDS:
        raise line.wrong(
            "the check does not run this as a repair.", f"what it runs is {', '.join(COMMANDS)}; or write none"
        )
    form, arguments, options = COMMANDS[name], [], list[str]()
    rest = iter(words[2:])
    for word in rest:
        option, given, value = word.partition("=")
        _require_meaning(line, option, word)
        if not word.startswith("-"):
            arguments.append(word)
        elif option in form.options:
            options.append(f"{option}={value if given else next(rest, '')}")
        elif given and option in (*form.flags, "--yes"):
            raise line.wrong(f"{option} takes no value.", f"write {option} alone")
        elif word in form.flags:
            options.append(word)
        elif word != "--yes":
            raise line.wrong(f"{name} has no option {option[:40]!r}.", f"see python3 lab.py {name} --help")
    _require_names(line, name, arguments, prefix)
    return (*words[:2], *arguments, *options)


def _require_meaning(line: Line, option: str, word: str) -> None:
    if option == "--dry-run":
        raise line.wrong("a dry run repairs nothing.", "leave out --dry-run")
    if word.endswith(";") or word in SHELL:
        raise line.wrong(f"no shell reads this line, so {word[:40]!r} has no meaning.", "write one command a line")
    if option in MOMENTS:
        raise line.wrong(
            f"{option} finds other events when the morning happens again.",
            "the check's morning happens now: choose by partitions and offsets",
        )


def _require_names(line: Line, name: str, arguments: Sequence[str], prefix: str) -> None:
    wanted = COMMANDS[name].arguments
    if len(arguments) != len(wanted):
        raise line.wrong(f"{name} takes {' and '.join(wanted)}.", f"see python3 lab.py {name} --help")
    for argument, kind in zip(arguments, wanted, strict=True):
        ours = [prefix + each for each in NAMES[kind]]
        if argument not in ours:
            raise line.wrong(
                f"{argument[:60]!r} is not this morning's {kind}.",
                f"each morning has topics and groups of its own: write {' or '.join(ours)}",
            )
