"""Measurements: latency against throughput, ratios, counts. Lesson 03 draws the first."""

from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from labsupport.experiments.watching.plots.figure import COLOURS, GROUND, INK, describe, described_axes, legend, look

if TYPE_CHECKING:
    import pandas

# The positions that the label of a point can have.
SIDES: list[dict[str, Any]] = [
    {"xytext": (7 * right, 5 if up else -10), "ha": "left" if right > 0 else "right"}
    for up, right in ((True, 1), (False, -1), (True, -1), (False, 1))
]


def speed(points: "pandas.DataFrame", ax: Axes | None = None) -> Axes:
    """Latency against throughput on logarithmic axes, with a line for each series.

    `points` has a row for each measurement: series and label (text), per_second (records), milliseconds (from send to
    acknowledgement). The description has no numbers, because they differ in each run. Without `ax` it makes a new
    figure.
    """
    ax = ax or described_axes(9, 4.2)
    ax.spines["left"].set_visible(True)
    for number, (name, rows) in enumerate(points.groupby("series", sort=False)):
        look: dict[str, Any] = {
            "color": COLOURS[(0, 1, 2, 4)[number % 4]],
            "marker": "os^D"[number % 4],
            "markeredgecolor": INK,
        }
        ax.plot(rows.per_second, rows.milliseconds, label=name, linewidth=1.5, **look)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.grid(visible=True, which="major", color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.margins(0.12)
    ax.set_xlabel("throughput (records per second): more is better")
    ax.set_ylabel("latency (ms, median): less is better")
    legend(ax)
    _label(ax, points)
    series = [f"{name}: {', '.join(rows.label)}" for name, rows in points.groupby("series", sort=False)]
    describe(ax, f"Picture: latency against throughput. {'; '.join(series)}.")
    return ax


def _label(ax: Axes, points: "pandas.DataFrame") -> None:
    """Write each label on the side of its point where it covers the fewest points and labels, then the fewest lines."""
    if figure := ax.get_figure(root=True):
        figure.draw_without_rendering()  # computes the layout, so that what follows is in pixels
    lines = [line.get_transform().transform_path(line.get_path()) for line in ax.lines]
    dots = ax.transData.transform(points[["per_second", "milliseconds"]].to_numpy())
    taken = [Bbox([dot - 5, dot + 5]) for dot in dots]
    for row in points.itertuples():
        at = (row.per_second, row.milliseconds)
        tried = [ax.annotate(row.label, at, textcoords="offset points", fontsize=8, **side) for side in SIDES]
        boxes = [text.get_window_extent() for text in tried]
        crossed = [sum(line.intersects_bbox(box, filled=False) for line in lines) for box in boxes]
        best = min(range(len(SIDES)), key=lambda number: (boxes[number].count_overlaps(taken), crossed[number]))
        taken.append(boxes[best])
        for text in tried[:best] + tried[best + 1 :]:
            text.remove()


def ratios(table: "pandas.DataFrame", unit: str, ax: Axes | None = None) -> Axes:
    """Horizontal bars: a group for each column of `table`, with a bar for each row; values are ratios in `unit`.

    The description has no numbers, because they differ in each run. Without `ax` it makes a new figure.
    """
    ax = _bars(table, unit, ax, "{:.1f}")
    ax.axvline(1, color=INK, linewidth=0.8)
    describe(ax, f"Picture: {' and '.join(table.columns)} of {', '.join(table.index)}, {unit}.")
    return ax


def counts(table: "pandas.DataFrame", unit: str, ax: Axes | None = None) -> Axes:
    """Horizontal bars: a group for each column of `table`, with a bar for each row; values are whole numbers in `unit`.

    The description has the numbers. Without `ax` it makes a new figure.
    """
    ax = _bars(table, unit, ax, "{:.0f}")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    groups = (f"{column}: {', '.join(f'{row} {value}' for row, value in table[column].items())}" for column in table)
    describe(ax, f"Picture: {unit}. {'; '.join(groups)}.")
    return ax


def _bars(table: "pandas.DataFrame", unit: str, ax: Axes | None, form: str) -> Axes:
    ax = ax or described_axes(9, 0.9 + 0.32 * table.size + 0.3 * len(table.columns))
    ticks = {}
    for group, column in enumerate(table.columns):
        for row, (name, value) in enumerate(table[column].items()):
            at = group * (len(table) + 1) + row
            ax.barh(at, value, 0.8, label="" if group else name, edgecolor=INK, **look(row))
            plate = {"facecolor": GROUND, "edgecolor": "none", "pad": 1}  # over a line that marks a value
            style: dict[str, Any] = {
                "fontsize": 8,
                "va": "center",
                "color": INK,
                "bbox": plate,
                "textcoords": "offset points",
            }
            ax.annotate(form.format(value), (value, at), (4, 0), **style)
        ticks[group * (len(table) + 1) + (len(table) - 1) / 2] = column
    ax.invert_yaxis()
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.set_xlabel(unit)
    legend(ax)
    return ax
