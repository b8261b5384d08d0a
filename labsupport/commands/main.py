"""The commands of `python3 lab.py`. Each one is in a module of its own, which is imported when the command is run."""

import os
from importlib import import_module
from typing import NamedTuple

import click

from labsupport.commands.terminal import example
from labsupport.settings import Settings


class Entry(NamedTuple):
    """Where a command is (`module` in this package, and the name in it), and its line in `lab.py --help`."""

    module: str
    name: str
    short_help: str


COMMANDS = {
    "bench": Entry("bench", "bench", "Measure the broker against a stock one."),
    "book": Entry("book", "book", "Build the lessons as a web site."),
    "bundle": Entry("bundle", "bundle", "For teachers: put the whole set-up on a stick."),
    "class": Entry("classroom", "classroom", "For teachers: one Kafka for a class."),
    "capstone": Entry("capstone", "capstone", "Build a service on real flights; have it tortured."),
    "crashlab": Entry("crashlab", "crashlab", "Crash consumers in hundreds of ways, and count."),
    "dead-letters": Entry("dead_letters", "dead_letters", "Look at failed events, and send them back."),
    "doctor": Entry("doctor", "doctor", "Say what is wrong, and what to type."),
    "down": Entry("down", "down", "Stop everything that this lab runs."),
    "new": Entry("new", "new", "Make a fresh copy of a lesson."),
    "notebooks": Entry("notebooks", "notebooks", "For authors: run the lessons, store their outputs."),
    "prepare": Entry("prepare", "prepare", "For images: fetch and make everything, run nothing."),
    "progress": Entry("progress", "progress", "Show which exercises you have solved."),
    "registry": Entry("registry", "registry", "Run another maker's schema registry."),
    "replay": Entry("replay", "replay", "Run history again, or reset a group."),
    "setup": Entry("setup", "setup", "Set the lab up again, with the Python you type."),
    "soak": Entry("soak", "soak", "Run everything for an hour, and kill processes."),
    "status": Entry("status", "status", "Show what is running, and Kafka's address."),
    "teacher": Entry("teacher", "teacher", "For teachers: a guide to a lesson."),
    "test": Entry("test", "test", "Run every test and every notebook."),
    "tour": Entry("tour", "tour", "See the whole course in a dozen lines."),
    "up": Entry("up", "up", "Start Kafka in the background."),
    "watch": Entry("watch", "watch", "Watch groups live, and what is wrong with them."),
    "wipe": Entry("wipe", "wipe", "Delete all topics, to start over."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is run (click's documentation, "Lazily Loading")."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Name every command."""
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Import the command; None if there is no such command."""
        if name not in COMMANDS:
            return None
        entry = COMMANDS[name]
        return getattr(import_module(f"labsupport.commands.{entry.module}"), entry.name)

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for an unknown one, suggest similar names."""
        try:
            return super().resolve_command(context, words)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=context) from None

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.short_help) for name, entry in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    **example("python3 lab.py", "python3 lab.py --no-browser --port 9000", "python3 lab.py test -k jars"),
)
@click.option(
    "--from",
    "offline",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Take packages, Java and Kafka from this folder, without a network. Must come first.",
)
@click.option("--no-browser", is_flag=True, help="Print the address instead of opening a browser.")
@click.option("--port", type=click.IntRange(1, 65535), help="JupyterLab's port (default: 8888, or the next free one).")
@click.option(
    "--ip",
    default="localhost",
    metavar="ADDRESS",
    help="Where JupyterLab listens (default: localhost); 0.0.0.0 in a container, whose port you publish.",
)
@click.pass_context
def lab(context: click.Context, offline: str | None, no_browser: bool, port: int | None, ip: str) -> None:
    """Learn event-driven systems on a real Apache Kafka, in notebooks.

    Without a command: start Kafka, send and receive one event as a check, and open JupyterLab. Ctrl-C ends
    JupyterLab, and Kafka if this command started it.

    LAB_KAFKA=host:port uses another Kafka instead of the lab's own.
    """
    if offline:
        os.environ["LAB_OFFLINE"] = offline
    if context.invoked_subcommand is None:
        from labsupport.commands import start

        start.start(Settings.from_environment(), browser=not no_browser, port=port, ip=ip)
    elif no_browser or port is not None or ip != "localhost":
        raise click.UsageError("--no-browser, --port and --ip go with no command: python3 lab.py --no-browser")
