"""The crash matrix: what crashes do, by strategy and crash point. Lesson 07 draws it."""

import itertools
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from labsupport.experiments.watching.plots.figure import COLOURS, GROUND, INK, describe, described_axes, legend

if TYPE_CHECKING:
    from labsupport.experiments.breaking.crashes import Matrix

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
    descriptions: dict[str, list[str]] = {}
    for (row, strategy), (column, point) in itertools.product(enumerate(rows), enumerate(columns)):
        harm = {"lost": lost.loc[strategy, point], "twice": twice.loc[strategy, point]}
        words = "\n".join(f"{value:.2g} {what}" for what, value in harm.items() if value > 0)
        if harm["lost"] != harm["lost"]:  # NaN: no such point
            look: dict[str, Any] = {"facecolor": GROUND, "hatch": ""}
            words = "–"
        else:
            look = HARMS[next((what for what, value in harm.items() if value > 0), "nothing")]
        descriptions.setdefault(strategy, []).append(f"{point} {words.replace(chr(10), ' ') or 'nothing'}")
        ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, edgecolor=INK, clip_on=False, **look))
        plate = {"facecolor": look["facecolor"], "edgecolor": "none", "pad": 1}
        ax.text(column, row, words, fontsize=9, ha="center", va="center", color=INK, bbox=plate)
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xticks(range(len(columns)), [point.replace(" ", "\n", 1) for point in columns], fontsize=8)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_xlabel("where the process crashes")
    ax.set_title("events lost and processed twice, per trial", fontsize=10, loc="left")
    patches = [Patch(label=what, edgecolor=INK, **look) for what, look in HARMS.items()]
    legend(ax, patches)
    rows_in_words = " ".join(f"{strategy}: {', '.join(cells)}." for strategy, cells in descriptions.items())
    describe(ax, f"Picture: crash matrix. {rows_in_words}")
    return ax
