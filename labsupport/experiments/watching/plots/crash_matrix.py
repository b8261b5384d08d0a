"""The crash matrices: what crashes of consumers do (lesson 07), and what deaths of brokers do (lesson 18)."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from labsupport.experiments.watching.plots.figure import COLOURS, GROUND, INK, describe, described_axes, legend

if TYPE_CHECKING:
    from labsupport.experiments.breaking import broker_deaths as deaths
    from labsupport.experiments.breaking.crashes import Matrix

    Cell = tuple[str, dict[str, Any]]  # its words and its look

# What a crash did, and how its cell looks.
HARMS: dict[str, dict[str, Any]] = {
    "lost": {"facecolor": COLOURS[5], "hatch": "//"},
    "twice": {"facecolor": COLOURS[0], "hatch": ".."},
    "nothing": {"facecolor": "white", "hatch": ""},
}


def crashes(matrix: "Matrix", ax: Axes | None = None) -> Axes:
    """Strategies (rows) by crash points (columns): events lost and processed twice, as means per trial.

    Colour and hatching say which of the two. A dash means that the strategy has no such point. Without `ax` it makes a
    new figure.
    """
    lost, twice = matrix.cells("lost"), matrix.cells("twice")
    rows, columns = list(lost.index), list(lost.columns)
    ax = ax or described_axes(3.2 + 0.95 * len(columns), 1.6 + 0.5 * len(rows))
    cells: dict[str, list[Cell]] = {}
    for strategy, point in itertools.product(rows, columns):
        harm = {"lost": lost.loc[strategy, point], "twice": twice.loc[strategy, point]}
        words = "\n".join(f"{value:.2g} {what}" for what, value in harm.items() if value > 0)
        if harm["lost"] != harm["lost"]:  # NaN: no such point
            look: dict[str, Any] = {"facecolor": GROUND, "hatch": ""}
            words = "–"
        else:
            look = HARMS[next((what for what, value in harm.items() if value > 0), "nothing")]
        cells.setdefault(strategy, []).append((words, look))
    _draw(ax, cells, columns, HARMS)
    ax.set_xticks(range(len(columns)), [point.replace(" ", "\n", 1) for point in columns], fontsize=8)
    ax.set_xlabel("where the process crashes")
    ax.set_title("events lost and processed twice, per trial", fontsize=10, loc="left")
    describe(ax, f"Picture: crash matrix. {_in_words(cells, columns)}")
    return ax


# What the death of brokers did to a producer's records, the worst first, and how its cell looks.
FATES: dict[str, dict[str, Any]] = {
    "lost": {"facecolor": COLOURS[5], "hatch": "//"},
    "unknown": {"facecolor": COLOURS[0], "hatch": ".."},
    "refused": {"facecolor": COLOURS[1], "hatch": ""},
    "kept": {"facecolor": "white", "hatch": ""},
}


def broker_deaths(matrix: "deaths.Matrix", ax: Axes | None = None) -> Axes:
    """What became of a producer's records (rows: its and its topic's settings) by who died (columns), in words.

    Colour and hatching say the worst of it. Without `ax` it makes a new figure.
    """
    table = matrix.table
    ax = ax or described_axes(3.8 + 1.5 * len(table.columns), 1.6 + 0.5 * len(table))
    cells = {
        str(name): [
            (words, next((look for fate, look in FATES.items() if fate in words), FATES["kept"])) for words in row
        ]
        for name, row in table.iterrows()
    }
    columns = list(table.columns)
    _draw(ax, cells, columns, FATES)
    ax.set_xticks(range(len(columns)), [column.replace(", ", ",\n") for column in columns], fontsize=8)
    ax.set_xlabel("who dies")
    ax.set_title("what becomes of the records: those lost had been acknowledged", fontsize=10, loc="left")
    describe(ax, f"Picture: deaths of brokers. {_in_words(cells, columns)}")
    return ax


def _draw(ax: Axes, rows: Mapping[str, "Sequence[Cell]"], columns: Sequence[str], looks: Mapping[str, Any]) -> None:
    for row, cells in enumerate(rows.values()):
        for column, (words, look) in enumerate(cells):
            ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, edgecolor=INK, clip_on=False, **look))
            plate = {"facecolor": look["facecolor"], "edgecolor": "none", "pad": 1}
            ax.text(column, row, words, fontsize=9, ha="center", va="center", color=INK, bbox=plate)
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_yticks(range(len(rows)), list(rows))
    legend(ax, [Patch(label=what, edgecolor=INK, **look) for what, look in looks.items()])


def _in_words(rows: Mapping[str, "Sequence[Cell]"], columns: Sequence[str]) -> str:
    said = []
    for row, cells in rows.items():
        parts = [
            f"{what} {words.replace(chr(10), ' ') or 'nothing'}"
            for what, (words, _) in zip(columns, cells, strict=True)
        ]
        said.append(f"{row}: {', '.join(parts)}.")
    return " ".join(said)
