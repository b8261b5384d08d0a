"""`python3 lab.py crashlab`: the whole matrix of strategies and crash points, on a broker of its own."""

import math
from pathlib import Path

import click
from rich.table import Table

from labsupport.broker.cluster import private
from labsupport.commands.terminal import console, drawing, example, save
from labsupport.experiments.breaking import crashes
from labsupport.experiments.breaking.crashes import Matrix
from labsupport.files import storing
from labsupport.settings import Settings

DEFAULT = "crashlab.jsonl"


@click.command(**example("python3 lab.py crashlab --seeds 2", "python3 lab.py crashlab --seeds 12 --results my.jsonl"))
@click.option("--seeds", type=click.IntRange(1, 1000), default=12, show_default=True, help="Trials for each cell.")
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file of results (default: crashlab.jsonl in .lab/); trials in it are not repeated.",
)
@drawing("the matrix")
def crashlab(seeds: int, results: Path | None, picture: Path | None) -> None:
    """Run every strategy with a crash at every point, on a broker of its own. Stopped, it continues where it was."""
    show(play(Settings.from_environment(), seeds, results), picture)


def play(settings: Settings, seeds: int, file: Path | None) -> Matrix:
    """Run the trials that are not in the results file yet (default: `crashlab.jsonl` in the lab's home)."""
    file = file or settings.home / DEFAULT
    with storing(file.parent, "LAB_HOME"):
        file.parent.mkdir(parents=True, exist_ok=True)
    with private(1, settings) as kafka, storing(file.parent, "LAB_HOME"):
        return crashes.run(kafka, seeds=seeds, file=file)


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
