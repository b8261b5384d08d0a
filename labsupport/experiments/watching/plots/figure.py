"""What all pictures share: background, colours, hatchings, and a description in words."""

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#8DA0CB", "#BBBBBB")
HATCHES = ("", "//", "..", "xx", "\\\\")  # with eight colours: forty pairs before one repeats
GROUND, INK, ALARM = "#FCFCFA", "#222222", "#B00020"


class Described(Figure):
    """A figure whose `repr` describes it in words."""

    words = ""

    def __repr__(self) -> str:
        return self.words


def described_axes(width: float, height: float) -> Axes:
    """New axes in a new figure of this size (inches; at most 11 wide)."""
    figure = plt.figure(FigureClass=Described, figsize=(min(width, 11), height), facecolor=GROUND, layout="constrained")
    axes = figure.add_subplot(facecolor=GROUND)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    return axes


def describe(ax: Axes, words: str) -> None:
    """Add a description of these axes to their figure."""
    if isinstance(ax.figure, Described):
        ax.figure.words = f"{ax.figure.words} {words}".strip()


def look(number: int) -> dict[str, Any]:
    """The colour and hatching of series `number`."""
    return {"facecolor": COLOURS[number % len(COLOURS)], "hatch": HATCHES[number % len(HATCHES)]}


def legend(ax: Axes, handles: list | None = None) -> None:
    """Draw a legend to the right of the axes."""
    shown = {} if handles is None else {"handles": handles}
    ax.legend(**shown, loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, fontsize=8)
