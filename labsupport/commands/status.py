"""`python3 lab.py status`: what of this lab runs, and Kafka's address for other tools."""

import json
import sys

import click
from rich.table import Table

from labsupport.broker import background, kafka_tool, processes
from labsupport.broker.metadata import reach
from labsupport.broker.processes import Running
from labsupport.commands.terminal import console, example
from labsupport.errors import LabError
from labsupport.settings import Settings


@click.command(**example("python3 lab.py status", "python3 lab.py status --json"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def status(as_json: bool) -> None:
    """Show what is running, and the address for other tools. Exit code 1 if Kafka does not answer."""
    sys.exit(show(Settings.from_environment(), as_json))


def show(settings: Settings, as_json: bool) -> int:
    """Print what is running, or one JSON object; returns 1 if Kafka does not answer, else 0."""
    problem, address = "", background.address(settings) if settings.embedded else settings.kafka
    try:
        if address:
            address = reach(settings.connection_to(address)).bootstrap
        else:
            problem = "it is not running"
    except LabError as error:
        problem = error.seen + ("\nIts process runs: python3 lab.py down, then up" if settings.embedded else "")
    running = processes.running(settings)
    registry = _registry(settings)
    if as_json:
        listed = [{"pid": e.process.pid, "role": e.role, "owner": e.owner, "orphan": e.orphan} for e in running]
        told = {"kafka": address or None, "answers": not problem, "problem": problem or None, "processes": listed}
        told["registry"] = registry or None
        click.echo(json.dumps(told))
    else:
        if problem:
            console.print(f"Kafka{f' at {address}' if address else ''} does not answer: {problem}", markup=False)
            if settings.embedded and not address:
                console.print("Start it: python3 lab.py up")
        else:
            who = f" as {settings.connection.user}" if not settings.embedded and settings.connection.user else ""
            console.print(f"Kafka answers at [bold]{address}[/]{who}")
            console.print("For other tools, for example:")
            tool = kafka_tool.command(settings.connection_to(address), "admin")
            console.print(f"  {tool} topics list", markup=False, soft_wrap=True)
        if registry:
            console.print(f"The schema registry is at [bold]{registry}[/]")
        if running:
            table = Table("process", "pid", "MB", "minutes", box=None, header_style="dim")
            for each in running:
                table.add_row(
                    describe(each),
                    str(each.process.pid),
                    str(each.process.memory >> 20),
                    f"{each.process.seconds / 60:.0f}",
                )
            console.print(table)
    return 1 if problem else 0


def _registry(settings: Settings) -> str:
    """The URL of this checkout's registry if it runs; another one's is not asked for, because it may be far away."""
    from labsupport.registry.registry import running_at

    return running_at(settings)


def describe(each: Running) -> str:
    """One of the lab's processes in words."""
    words = {
        "background": "Kafka",
        "registry": "the schema registry",
        "private-registry": f"a schema registry of process {each.owner}",
        "private": f"a private broker of process {each.owner}",
        "program": f"a lesson's program, of process {each.owner}",
        "training": "the training run for the start-up cache (ends by itself)",
        "training-broker": "the broker of the training run",
        "jupyter": "JupyterLab",
        processes.CLASS: "the class's Kafka",
    }
    left_behind = ", left behind" if each.orphan else ""
    return words.get(each.role, each.role) + left_behind
