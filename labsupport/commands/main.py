"""The commands of `python3 lab.py`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
from rich.table import Table

from labsupport.commands.dead_letters import dead_letters
from labsupport.commands.lessons import bundle, new, notebooks, progress, teacher
from labsupport.commands.replay import replay
from labsupport.commands.terminal import console, drawing, example
from labsupport.errors import LabError
from labsupport.settings import CHECKOUT, Settings, parse_addresses

SOAK = ("lessons", "episodes", "seeds", "kills", "owners", "lid", "verdicts")  # the parts of `soak`


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    **example("python3 lab.py", "python3 lab.py --no-browser --port 9000", "python3 lab.py test -k jars"),
)
@click.option(
    "--from",
    "offline",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Take packages, Java and Kafka from this folder: no network is used. Comes first.",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser; print the address.")
@click.option("--port", type=click.IntRange(1, 65535), help="JupyterLab's port (default: 8888, or the next free one).")
@click.pass_context
def lab(context: click.Context, offline: str | None, no_browser: bool, port: int | None) -> None:
    """Learn event-driven systems on a real Apache Kafka, in notebooks.

    Without a command: start Kafka, check that an event goes out and comes back, and open JupyterLab. Ctrl-C ends
    JupyterLab, and Kafka if this command started it.

    LAB_KAFKA=host:port uses another Kafka instead of the lab's own.
    """
    if offline:
        os.environ["LAB_OFFLINE"] = offline
    if context.invoked_subcommand is None:
        from labsupport.commands import start

        start.start(Settings.from_environment(), browser=not no_browser, port=port)
    elif no_browser or port is not None:
        raise click.UsageError("--no-browser and --port go with no command: python3 lab.py --no-browser")


@lab.command(
    short_help="Set the lab up anew; the old set-up stays until then.",
    **example("python3 lab.py setup", "python3.13 lab.py setup"),
)
def setup() -> None:
    """Make .venv anew, with the Python that you type, and say so. Needs a network, or comes after `--from DIR`.

    The old one stays until the new one works. Your notebooks, topics and progress are not touched; packages that you
    added to .venv are gone.
    """
    from labsupport.setup import installed  # lab.py has done it before; this says what there is now

    if wrong := installed.wrong():
        raise LabError("The lab is not set up as it should be.", "\n".join(wrong), "python3 lab.py setup")
    version = ".".join(map(str, sys.version_info[:3]))
    console.print(f"The lab is set up: Python {version}, {len(installed.pins())} packages as pinned.")


@lab.command(short_help="Start Kafka in the background.", **example("python3 lab.py up", "python3 lab.py status"))
def up() -> None:
    """Start the lab's Kafka in the background, where it stays until `down`."""
    from labsupport.broker import background
    from labsupport.broker.metadata import reach

    settings = Settings.from_environment()
    if settings.embedded:
        cluster, _ = background.ensure(settings, keep=True)
        console.print(f"Kafka is up at [bold]{cluster.bootstrap}[/] until you type: python3 lab.py down")
    else:
        address = reach(parse_addresses(settings.kafka))
        console.print(f"Kafka answers at [bold]{address}[/] (LAB_KAFKA); the lab starts none of its own.")


@lab.command(short_help="Stop everything of this lab that runs.", **example("python3 lab.py down"))
def down() -> None:
    """Stop everything of this lab that runs: Kafka, JupyterLab, what a killed notebook left behind. Topics stay."""
    from labsupport.broker import background
    from labsupport.commands.status import describe

    processes = background.stop_all(Settings.from_environment())
    for each in processes:
        console.print(f"Stopped: {describe(each)}")
    if not processes:
        console.print("Nothing of this lab was running.")


@lab.command(
    short_help="Show what runs, and Kafka's address.",
    **example("python3 lab.py status", "python3 lab.py status --json"),
)
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def status(as_json: bool) -> None:
    """Show what runs, and the address for other tools. Exit code 1 if Kafka does not answer."""
    from labsupport.commands import status as looking

    sys.exit(looking.show(Settings.from_environment(), console, as_json))


@lab.command(
    short_help="Run every test and every notebook.",
    context_settings={"ignore_unknown_options": True},
    **example("python3 lab.py test", "python3 lab.py test -k 'jars or process' -x"),
)
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(pytest_arguments: tuple[str, ...]) -> None:
    """Run every test and every notebook, on Kafkas of its own; what follows goes to pytest.

    All of them are run by several workers at the same time, because they mostly wait; a choice of them by one.
    """
    os.chdir(CHECKOUT)
    workers = max(2, min(4, os.cpu_count() or 1))
    chosen = pytest_arguments or ("-n", str(workers))
    command = [sys.executable, "-m", "pytest", *chosen]
    if os.name == "nt":
        from labsupport.broker.processes import python_marks

        marks = python_marks(Settings.from_environment(), "program")
        sys.exit(subprocess.call([sys.executable, *marks, *command[1:]]))
    os.execv(sys.executable, command)  # so that Ctrl-C and other signals reach pytest and nobody else


@lab.command(
    short_help="Say what is wrong, and what to type.",
    **example("python3 lab.py doctor", "python3 lab.py doctor --json"),
)
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def doctor(as_json: bool) -> None:
    """Look at everything the lab needs and say in one screen what is wrong. Exit code 1 if something is."""
    from dataclasses import asdict

    from labsupport.commands import doctor as examining

    lines = []
    for line in examining.examine(Settings.from_environment()):
        lines.append(line)
        if not as_json:
            console.print("  ok   " if line.ok else "[bold red]wrong  [/]", end="")
            console.print(f"{line.what}: {line.seen}", markup=False, soft_wrap=True)
            if not line.ok:
                console.print(f"       → {line.next_step}", markup=False, soft_wrap=True)
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines]))
    sys.exit(0 if all(line.ok for line in lines) else 1)


@lab.command(
    short_help="Measure the broker against a stock one.",
    **example("python3 lab.py bench", "python3 lab.py bench --runs 5 --json"),
)
@click.option(
    "--runs", type=click.IntRange(1, 50), default=3, show_default=True, help="Pairs for each size of cluster."
)
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def bench(runs: int, as_json: bool) -> None:
    """Compare the lab's broker with a stock one, and its helpers with loops by hand; ratios from one run."""
    from dataclasses import asdict

    from labsupport.commands import bench as measuring

    rows = measuring.measure(Settings.from_environment(), runs)
    if as_json:
        click.echo(json.dumps({"machine": measuring.machine(), "runs": runs, "rows": [asdict(row) for row in rows]}))
        return
    table = Table("", "lab", "compared with", "ratio", box=None, header_style="dim")
    for row in rows:
        other = "" if row.other is None else f"{row.other:.3g} {row.unit} ({row.against})"
        table.add_row(row.what, f"{row.lab:.3g} {row.unit}", other, "" if row.ratio is None else f"{row.ratio:.2g}")
    console.print(table)
    console.print(f"Medians of {runs} runs on {measuring.machine()}", soft_wrap=True)


@lab.command(
    short_help="Crash consumers in hundreds of ways, and count.",
    **example("python3 lab.py crashlab --seeds 2", "python3 lab.py crashlab --seeds 12 --results my.jsonl"),
)
@click.option("--seeds", type=click.IntRange(1, 1000), default=12, show_default=True, help="Trials for each cell.")
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where results are kept (default: crashlab.jsonl in .lab/); what is there is not played again.",
)
@drawing("the matrix")
def crashlab(seeds: int, results: Path | None, picture: Path | None) -> None:
    """Play every strategy at every crash point, on a Kafka of its own. Stop it when you like: it goes on from there."""
    from labsupport.commands import crashlab as laboratory

    laboratory.show(laboratory.play(Settings.from_environment(), seeds, results), console, picture)


@lab.command(
    short_help="Run everything again and again for an hour, with kills.",
    **example("python3 lab.py soak", "python3 lab.py soak --only kills --kills 3"),
)
@click.option("--only", type=click.Choice(SOAK), multiple=True, help="One part; may be given several times.")
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True, help="How often each lesson is run.")
@click.option("--seeds", type=click.IntRange(1), default=200, show_default=True, help="Trials with poison and crashes.")
@click.option("--kills", type=click.IntRange(1), default=20, show_default=True, help="Processes that are killed.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides what is killed, and when.")
@click.option("--json", "as_json", is_flag=True, help="For programs: each row on a line, when it is done.")
def soak(only: tuple[str, ...], rounds: int, seeds: int, kills: int, seed: int, as_json: bool) -> None:
    """Run all lessons, episodes, crashes and poison many times, and kill what runs; the table says what went wrong.

    On brokers of its own; your lab is not touched. Ctrl-C ends it with the table of what was done.
    """
    from labsupport.commands import soak as soaking

    rows = []
    try:
        for row in soaking.soak(Settings.from_environment(), only or SOAK, rounds, seeds, kills, seed):
            rows.append(row)
            if as_json:
                click.echo(json.dumps(vars(row)))
    finally:
        if not as_json:
            soaking.show(rows, console)
    if any(row.problems for row in rows):
        sys.exit(1)


@lab.command(
    short_help="See the whole course in a dozen lines.",
    **example("python3 lab.py tour", "python3 lab.py tour --picture road.png"),
)
@drawing("the road of two of its events")
def tour(picture: Path | None) -> None:
    """A group, a crash, dead letters and a replay on the real Kafka, in seconds. Exit code 1 if a sum is wrong."""
    from labsupport.commands import tour as touring

    touring.show(Settings.from_environment(), console, picture)


@lab.command(
    short_help="Delete all topics, to start over.", **example("python3 lab.py wipe", "python3 lab.py wipe --yes")
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def wipe(yes: bool) -> None:
    """Delete every topic of the lab's own Kafka, to start over. Your notebooks stay."""
    from labsupport.broker import background

    settings = Settings.from_environment()
    folders = background.data_folders(settings)
    size = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
    question = f"Stop the lab's Kafka and delete its data ({size / 1e6:.0f} MB in {settings.home})?"
    if not yes and not click.confirm(question):
        console.print("Nothing was changed.")
        sys.exit(1)
    background.wipe(settings)
    console.print("Wiped. The next lesson starts with an empty Kafka.")


for each in (new, progress, teacher, bundle, notebooks, replay, dead_letters):
    lab.add_command(each)
