"""A group's lag and age over an hour, one above the other, and how old its events were. Lesson 14."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labsupport.experiments.watching.plots.figure import (
    ALARM,
    COLOURS,
    GROUND,
    INK,
    Described,
    describe,
    described_axes,
    legend,
)

if TYPE_CHECKING:
    from labsupport.observability.time_lapse import Hour

LAG, AGE = COLOURS[1], COLOURS[0]


def hours(hours: Mapping[str, "Hour"], *, lag_limit: float | None = None) -> Figure:
    """For each hour, by its name: lag (records) above age (minutes). A line marks `lag_limit`; red is above it."""
    figure = plt.figure(
        FigureClass=Described, figsize=(min(2.0 + 2.2 * len(hours), 11), 3.6), facecolor=GROUND, layout="constrained"
    )
    grid = figure.subplots(2, len(hours), sharex="col", squeeze=False)
    for column, (name, hour) in enumerate(hours.items()):
        minutes = [sample.minute for sample in hour.samples]
        ages = [sample.age for sample in hour.samples]
        above, below = grid[0][column], grid[1][column]
        _steps(above, minutes, hour.lags, LAG)
        _steps(below, minutes, ages, AGE)
        if lag_limit is not None:
            above.axhline(lag_limit, color=ALARM, linewidth=1, linestyle="--")
        above.set_title(name, fontsize=10, loc="left")
        below.set_xlabel("minute")
    for row, label in enumerate(("lag (records)", "age (minutes)")):
        largest = max(axes.get_ylim()[1] for axes in grid[row])
        for axes in grid[row]:
            axes.set_ylim(0, largest)
            axes.tick_params(labelleft=axes is grid[row][0])
        grid[row][0].set_ylabel(label)
    words = "; ".join(f"{name}: {_in_words(hour)}" for name, hour in hours.items())
    limit = "" if lag_limit is None else f" A line marks a lag of {lag_limit:g}."
    describe(grid[0][0], f"Picture: lag above age, minute by minute. {words}.{limit}")
    return figure


def _steps(ax: Axes, minutes: Sequence[int], values: Sequence[float], colour: str) -> None:
    ax.set_facecolor(GROUND)
    ax.spines[["top", "right"]].set_visible(False)
    ax.fill_between(minutes, values, step="post", color=colour, edgecolor=INK, linewidth=0.8)
    ax.set_xlim(minutes[0], minutes[-1])


def _in_words(hour: "Hour") -> str:
    last = hour.samples[-1]
    peaks = f"lag up to {max(hour.lags)}, age up to {max(sample.age for sample in hour.samples):g}"
    return f"{peaks}, in the end {last.lag} and {last.age:g}"


def ages(values: Sequence[float], marks: Mapping[str, float], unit: str = "minutes", ax: Axes | None = None) -> Axes:
    """The part of all events (%) that were at most so old when they were handled; `marks` names ages to mark.

    Without `ax` it makes a new figure.
    """
    ax = ax or described_axes(9, 3.2)
    ax.spines["left"].set_visible(True)
    ax.ecdf(values, color=INK, linewidth=1.6)
    top = ax.get_ylim()[1]
    for number, (name, value) in enumerate(marks.items()):
        style: dict[str, Any] = {
            "color": ALARM if number == 0 else COLOURS[number],
            "linestyle": ("--", "-", ":")[number % 3],
        }
        ax.axvline(value, label=f"{name}: {value:g} {unit}", linewidth=2, **style)
    ax.set_ylim(0, top)
    ax.set_xlim(-0.1, max(values) * 1.05)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    ax.set_xlabel(f"age when handled ({unit})")
    ax.set_ylabel("events that were no older (%)")
    legend(ax)
    named = ", ".join(f"{name} {value:g}" for name, value in marks.items())
    describe(ax, f"Picture: ages of {len(values)} events when they were handled, in {unit}. {named}.")
    return ax
