"""`python3 lab.py crashlab`: the whole matrix of strategies and crash points, on a broker of its own.

With `--brokers`, the producer's matrix: what becomes of records when brokers die.
"""

import math
from collections.abc import Iterable
from pathlib import Path

import click
from rich.table import Table

from labsupport.broker.cluster import private
from labsupport.commands.terminal import console, drawing, example, save
from labsupport.errors import LabError
from labsupport.experiments.breaking import broker_deaths, crashes, outbox_crashes
from labsupport.experiments.breaking.crashes import Matrix
from labsupport.experiments.breaking.strategies import STRATEGIES
from labsupport.files import storing
from labsupport.settings import Settings

DEFAULT, DEFAULT_OUTBOX, DEFAULT_BROKERS = "crashlab.jsonl", "crashlab-outbox.jsonl", "crashlab-brokers.jsonl"


@click.command(
    **example(
        "python3 lab.py crashlab --seeds 2",
        "python3 lab.py crashlab --outbox --seeds 12",
        "python3 lab.py crashlab --brokers",
    )
)
@click.option("--outbox", is_flag=True, help="Crash services that change a state and publish an event, and relays.")
@click.option("--brokers", is_flag=True, help="Kill brokers instead, and ask what became of a producer's records.")
@click.option("--seeds", type=click.IntRange(1, 1000), help="Trials for each cell (default: 12; of brokers 1).")
@click.option("--only", default="", metavar="NAME", help="Only strategies, or deaths, whose names contain this.")
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"The file of results (default in .lab/: {DEFAULT}, {DEFAULT_OUTBOX} or {DEFAULT_BROKERS}); trials in it are "
    "not repeated.",
)
@drawing("the matrix")
def crashlab(
    outbox: bool, brokers: bool, seeds: int | None, only: str, results: Path | None, picture: Path | None
) -> None:
    """Run every strategy with a crash at every point, on a broker of its own. Stopped, it continues where it was."""
    if outbox and brokers:
        raise click.UsageError("--outbox and --brokers are two tables: name one.")
    settings = Settings.from_environment()
    if brokers:
        show_deaths(play_deaths(settings, seeds or 1, results, only=only), picture)
    else:
        show(play(settings, seeds or 12, results, outbox=outbox, only=only), picture)


def play_deaths(settings: Settings, seeds: int, file: Path | None, *, only: str = "") -> broker_deaths.Matrix:
    """Run the deaths of brokers that are not in the results file yet (default: in the lab's home).

    Raises LabError if no death has a name with `only` in it.
    """
    deaths = _named(broker_deaths.DEATHS, only, "death")
    file = file or settings.home / DEFAULT_BROKERS
    with storing(file.parent, "LAB_HOME"):
        file.parent.mkdir(parents=True, exist_ok=True)
        return broker_deaths.run(settings, seeds, deaths=deaths, file=file)


def show_deaths(matrix: broker_deaths.Matrix, picture: Path | None = None) -> None:
    """Print what became of the records, by the producer's settings and by who died; draw it into `picture`."""
    table = Table(box=None, header_style="dim")
    table.add_column("producer and topic", no_wrap=True)
    for death in matrix.table.columns:
        table.add_column(death)
    for name, row in matrix.table.iterrows():
        table.add_row(name, *row)
    console.print(table)
    if picture:
        from labsupport.experiments.watching import plots  # here, because it takes longer to import than all the rest

        save(plots.broker_deaths(matrix), picture, dpi=100)


def play(settings: Settings, seeds: int, file: Path | None, *, outbox: bool = False, only: str = "") -> Matrix:
    """Run the trials that are not in the results file yet (default: in the lab's home).

    Raises LabError if no strategy has a name with `only` in it.
    """
    known = {each.name: each for each in (outbox_crashes.WAYS if outbox else STRATEGIES)}
    chosen = [known[name] for name in _named(known, only, "strategy")]
    file = file or settings.home / (DEFAULT_OUTBOX if outbox else DEFAULT)
    with storing(file.parent, "LAB_HOME"):
        file.parent.mkdir(parents=True, exist_ok=True)
    with private(1, settings) as kafka, storing(file.parent, "LAB_HOME"):
        return (outbox_crashes if outbox else crashes).run(kafka, chosen, seeds=seeds, file=file)


def show(matrix: Matrix, picture: Path | None = None) -> None:
    """Print the sums of each strategy and the results of each crash point per trial; draw them into `picture`."""
    sums = Table("strategy", *("trials", "lost", "twice", "redelivered"), box=None, header_style="dim")
    for name, row in matrix.table.iterrows():
        sums.add_row(name, *map(str, row))
    console.print(sums)
    lost, twice = matrix.cells("lost"), matrix.cells("twice")
    cells = Table(title="lost / twice, per trial", title_justify="left", box=None, header_style="dim")
    cells.add_column(no_wrap=True)
    for point in lost.columns:
        cells.add_column(point)
    for name in lost.index:
        pairs = zip(lost.loc[name], twice.loc[name], strict=True)
        cells.add_row(name, *("–" if math.isnan(left) else f"{left:.2g} / {right:.2g}" for left, right in pairs))
    console.print(cells)
    if picture:
        from labsupport.experiments.watching import plots  # here, because it takes longer to import than all the rest

        save(plots.crashes(matrix), picture, dpi=100)


def _named(names: Iterable[str], part: str, what: str) -> list[str]:
    if not (chosen := [name for name in names if part in name]):
        raise LabError(f"No {what} is called {part!r}.", f"there are: {'; '.join(names)}")
    return chosen
