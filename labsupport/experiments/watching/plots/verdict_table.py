"""A table of statements with what was found about each. Lesson 15 draws an article's table, cell by cell."""

import itertools
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from labsupport.experiments.watching.plots.figure import COLOURS, INK, describe, described_axes, legend

STRIP = 0.06  # of a cell's width; the text beside it stays on plain ground

# What a test found, and how the strip of its cell looks.
FOUND: dict[str, dict[str, Any]] = {
    "holds": {"facecolor": "white", "hatch": ""},
    "holds if": {"facecolor": COLOURS[0], "hatch": ".."},
    "does not hold": {"facecolor": COLOURS[5], "hatch": "//"},
}


def verdicts(table: Mapping[str, Mapping[str, tuple[str, str, str]]], ax: Axes | None = None) -> Axes:
    """By column and row: the statement, what was found, and where it was seen.

    What was found is "holds", "does not hold", or "holds if" and a condition. Without `ax` it makes a new figure.
    """
    columns, rows = list(table), list(dict.fromkeys(row for cells in table.values() for row in cells))
    ax = ax or described_axes(2.2 + 4.0 * len(columns), 1.2 + 0.85 * len(rows))
    descriptions = []
    for (x, column), (y, row) in itertools.product(enumerate(columns), enumerate(rows)):
        statement, found, seen = table[column][row]
        look = FOUND[next(each for each in ("holds if", "does not hold", "holds") if found.startswith(each))]
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, edgecolor=INK, clip_on=False, facecolor="white"))
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), STRIP, 1, edgecolor=INK, clip_on=False, **look))
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": INK}
        ax.text(x + STRIP / 2, y - 0.28, statement, fontsize=10, fontweight="bold", **style)
        ax.text(x + STRIP / 2, y + 0.03, found, fontsize=9, **style)
        ax.text(x + STRIP / 2, y + 0.31, f'seen in "{seen}"', fontsize=8, **style)
        descriptions.append(f"{row}, {column}: {statement}: {found} ({seen})")
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xticks(range(len(columns)), columns)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(rows)), rows)
    legend(ax, [Patch(label=name, edgecolor=INK, **look) for name, look in FOUND.items()])
    describe(ax, f"Picture: statements and what was found. {'; '.join(descriptions)}.")
    return ax
