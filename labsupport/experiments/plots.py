"""Pictures: each takes data and returns its axes; none touches a broker. Lesson 02 draws the first.

They are drawn on a light ground of their own, so that they look the same in JupyterLab's light and dark theme. Colours
are those of Okabe and Ito, which colour-blind readers can tell apart; hatching says the same again. What a picture
shows is also its text: `repr` of the figure, which is what a reader without the picture gets.
"""

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from labsupport.experiments.history import History
from labsupport.experiments.lag import Lag, Place
from labsupport.experiments.log import Log, text

if TYPE_CHECKING:
    import pandas

COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#8DA0CB", "#BBBBBB")
HATCHES = ("", "//", "..", "xx", "\\\\")  # with eight colours: forty keys before a pair comes again
GROUND, INK, ALARM = "#FCFCFA", "#222222", "#B00020"
# How far a group has come in a partition.
STRETCHES = {
    "up to committed": {"facecolor": COLOURS[2], "hatch": ""},
    "handed out": {"facecolor": COLOURS[3], "hatch": "//"},
    "left": {"facecolor": "white", "hatch": ""},
}


class Described(Figure):
    """A figure that says in words what it shows."""

    words = ""

    def __repr__(self) -> str:
        return self.words


def log(log: Log, ax: Axes | None = None, *, most: int = 40) -> Axes:
    """The log: partitions are rows, offsets columns, records cells in the colour and hatching of their key.

    A line marks each partition's end, a triangle what a group has committed. Of each partition the last `most` offsets
    are shown. Without `ax` a new figure is made.
    """
    first = max(0, max(log.ends.values()) - most)
    width = max(log.ends.values()) - first
    ax = ax or _axes(2.6 + 0.46 * max(width, 6), 1.5 + 0.5 * len(log.ends))
    looks = _looks([text(record.key) for record in log.records])
    for record in log.records:
        if record.offset >= first:
            key = text(record.key)
            cell = Rectangle((record.offset - 0.5, record.partition - 0.4), 1, 0.8, edgecolor=INK, **looks[key])
            ax.add_patch(cell)
            plate = {"facecolor": looks[key]["facecolor"], "edgecolor": "none", "pad": 1}  # over the hatching
            label = {"fontsize": 8, "ha": "center", "va": "center", "color": INK, "bbox": plate}
            ax.text(record.offset, record.partition, key.rpartition("-")[2][:4], **label)
    for number, end in log.ends.items():
        ax.plot([end - 0.5] * 2, [number - 0.47, number + 0.47], color=INK, linewidth=2.5)
        ax.text(end - 0.38, number, "end", fontsize=8, va="center", color=INK)
    for number, offset in log.committed.items():
        ax.plot(offset - 0.5, number - 0.46, marker="v", color=INK, markersize=7)
    ax.set_xlim(first - 0.7, first + width + 0.6)
    ax.set_ylim(max(log.ends) + 0.6, -0.7)
    ax.set_xticks(range(first, first + width))
    ax.set_yticks(sorted(log.ends))
    ax.set_xlabel("offset (records)")
    ax.set_ylabel("partition")
    ax.set_title(f"topic {log.topic}", fontsize=10, loc="left")
    patches = [Patch(label=key, edgecolor=INK, **look) for key, look in list(looks.items())[:12]]
    if log.committed:
        patches.append(plt.Line2D([], [], marker="v", linestyle="", color=INK, label="committed"))
    ax.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, fontsize=8)
    _describe(ax, f"Picture: the log of {log.topic}. {_in_words(log)}")
    return ax


def lag(moments: Mapping[str, Lag], ax: Axes | None = None) -> Axes:
    """A group's places at several moments, one bar for each partition at each: what is committed, handed out, left.

    The bar goes from the log's beginning to its end. A triangle above it marks what is committed, one below it the
    consumer's position. `moments`: what to call each, in their order. Without `ax` a new figure is made.
    """
    rows = [(moment, place) for moment, lag in moments.items() for place in lag.places]
    several = any(len(lag.places) > 1 for lag in moments.values())
    ax = ax or _axes(9, 1.3 + 0.55 * len(rows))
    for row, (_, place) in enumerate(rows):
        committed = place.begin if place.committed is None or place.out_of_range else place.committed
        position = max(committed, place.begin if place.position is None else place.position)
        edges = (place.begin, committed, position, place.end)
        for (begin, end), look in zip(itertools.pairwise(edges), STRETCHES.values(), strict=True):
            ax.add_patch(Rectangle((begin, row - 0.25), end - begin, 0.5, edgecolor=INK, **look))
        if place.committed is not None:
            ax.plot(place.committed, row - 0.33, marker="v", color=INK, markersize=8, clip_on=False)
        if place.position is not None:
            ax.plot(place.position, row + 0.33, marker="^", color=INK, markersize=8, fillstyle="none", clip_on=False)
        ax.text(place.end + 0.15, row, f"lag {place.lag}", fontsize=8, va="center", color=INK)
    offsets = [edge for _, place in rows for edge in (place.begin, place.end, place.committed or place.begin)]
    ax.set_xlim(min(offsets) - 0.2, max(offsets) + max(1.0, 0.12 * (max(offsets) - min(offsets))))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    labels = [f"{moment} · {place.partition}" if several else moment for moment, place in rows]
    ax.set_yticks(range(len(rows)), labels)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("offset (records)")
    topic = next(iter(moments.values())).topic
    ax.set_title(f"topic {topic}{': moment · partition' if several else ''}", fontsize=10, loc="left")
    keys = [Patch(label=name, edgecolor=INK, **look) for name, look in STRETCHES.items()]
    keys.append(plt.Line2D([], [], marker="v", linestyle="", color=INK, label="committed"))
    keys.append(plt.Line2D([], [], marker="^", linestyle="", color=INK, fillstyle="none", label="position"))
    ax.legend(handles=keys, loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, fontsize=8)
    _describe(ax, f"Picture: places in {topic}. {' '.join(_place_in_words(*row) for row in rows)}")
    return ax


def _place_in_words(moment: str, place: Place) -> str:
    words = [f"{moment}, partition {place.partition}: begin {place.begin}"]
    words += [] if place.position is None else [f"position {place.position}"]
    words += [place.note] if place.committed is None else [f"committed {place.committed}", *filter(None, [place.note])]
    return ", ".join([*words, f"end {place.end}, lag {place.lag}"]) + "."


def speed(points: "pandas.DataFrame", ax: Axes | None = None) -> Axes:
    """Latency against throughput, both axes logarithmic, a line for each series.

    `points` has a row for each measurement: series and label (text), per_second (records), milliseconds (from send to
    acknowledgement). Its words have no figures: they are others each time. Without `ax` a new figure is made.
    """
    ax = ax or _axes(9, 4.2)
    ax.spines["left"].set_visible(True)
    for number, (name, rows) in enumerate(points.groupby("series", sort=False)):
        look = {"color": COLOURS[(0, 1, 2, 4)[number % 4]], "marker": "os^D"[number % 4], "markeredgecolor": INK}
        ax.plot(rows.per_second, rows.milliseconds, label=name, linewidth=1.5, **look)
        # Series that meet write on different sides.
        beside = {"xytext": (-7, -10), "ha": "right"} if number % 2 else {"xytext": (7, 5), "ha": "left"}
        for row in rows.itertuples():
            at = (row.per_second, row.milliseconds)
            ax.annotate(row.label, at, textcoords="offset points", fontsize=8, **beside)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.grid(visible=True, which="major", color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.margins(0.12)
    ax.set_xlabel("throughput (records per second)")
    ax.set_ylabel("latency (ms, median)")
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.02))
    series = [f"{name}: {', '.join(rows.label)}" for name, rows in points.groupby("series", sort=False)]
    _describe(ax, f"Picture: latency against throughput. {'; '.join(series)}.")
    return ax


def ratios(table: "pandas.DataFrame", unit: str, ax: Axes | None = None) -> Axes:
    """Horizontal bars: a group for each column of `table`, in it a bar for each row; every value is a ratio in `unit`.

    Its words have no figures: they are others each time. Without `ax` a new figure is made.
    """
    ax = _bars(table, unit, ax, "{:.1f}")
    ax.axvline(1, color=INK, linewidth=0.8)
    _describe(ax, f"Picture: {' and '.join(table.columns)} of {', '.join(table.index)}, {unit}.")
    return ax


def counts(table: "pandas.DataFrame", unit: str, ax: Axes | None = None) -> Axes:
    """Horizontal bars: a group for each column of `table`, in it a bar for each row; every value is a whole number.

    Its words have the figures. Without `ax` a new figure is made.
    """
    ax = _bars(table, unit, ax, "{:.0f}")
    groups = (f"{column}: {', '.join(f'{row} {value}' for row, value in table[column].items())}" for column in table)
    _describe(ax, f"Picture: {unit}. {'; '.join(groups)}.")
    return ax


def _bars(table: "pandas.DataFrame", unit: str, ax: Axes | None, form: str) -> Axes:
    ax = ax or _axes(9, 0.9 + 0.32 * table.size + 0.3 * len(table.columns))
    ticks = {}
    for group, column in enumerate(table.columns):
        for row, (name, value) in enumerate(table[column].items()):
            at = group * (len(table) + 1) + row
            ax.barh(at, value, 0.8, label="" if group else name, edgecolor=INK, **_look(row))
            ax.text(value, at, " " + form.format(value), fontsize=8, va="center", color=INK)
        ticks[group * (len(table) + 1) + (len(table) - 1) / 2] = column
    ax.invert_yaxis()
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.set_xlabel(unit)
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.02))
    return ax


def timeline(history: History, ax: Axes | None = None) -> Axes:
    """Who had which partition when: partitions are rows, members colours; a partition of two owners is split.

    Hatched is the time in which nobody had a partition, a triangle is the end of a rebalance, a line what was done to
    a member. Its words have no times: they are others each time. Without `ax` a new figure is made.
    """
    spans = history.spans
    names, rows = sorted({each.who for each in history.told("assigned")}), sorted({span.partition for span in spans})
    looks = {name: _look(number) for number, name in enumerate(names)}
    ax = ax or _axes(11, 2.0 + 0.5 * len(rows))
    for gap in history.gaps:
        ax.broken_barh([(gap.begin, gap.seconds)], (gap.partition - 0.36, 0.72), facecolor="none", edgecolor=ALARM,
                       hatch="xxx", linewidth=0)  # fmt: skip
        if gap.seconds > 0.5:
            plate = {"facecolor": GROUND, "edgecolor": "none", "pad": 1}
            ax.text((gap.begin + gap.end) / 2, gap.partition, f"{gap.seconds:.1f} s", fontsize=8, ha="center",
                    va="center", color=INK, bbox=plate)  # fmt: skip
    for span in spans:
        lane = names.index(span.member) if any(span.meets(other) for other in spans) else None
        height, shift = (0.72, 0) if lane is None else (0.34, 0.19 * (1 if lane % 2 else -1))
        ax.barh(span.partition + shift, span.seconds, height, left=span.begin, edgecolor=INK, **looks[span.member])
    for at in history.rebalances:
        ax.plot(at, -0.62, marker="v", color=INK, markersize=6, clip_on=False)
    for number, moment in enumerate(history.done_to):
        at = moment.at - history.zero
        ax.axvline(at, color=INK, linewidth=0.9, linestyle="--")
        ax.text(at, -0.85 - 0.3 * (number % 2), f" {moment.who} {moment.what}", fontsize=8, color=INK)
    ax.set_ylim(max(rows, default=0) + 0.6, -1.4)
    ax.set_yticks(rows)
    ax.set_xlabel("time (s)")
    ax.set_ylabel("partition")
    patches = [Patch(label=name, edgecolor=INK, **look) for name, look in looks.items()]
    patches.append(Patch(label="nobody", facecolor="none", edgecolor=ALARM, hatch="xxx"))
    patches.append(plt.Line2D([], [], marker="v", linestyle="", color=INK, label="rebalance done"))
    ax.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, fontsize=8)
    done = "".join(f", {moment.who} {moment.what}" for moment in history.done_to).replace(",", ";", 1)
    _describe(ax, f"Picture: who had which partition when. Members {', '.join(names)}{done}.")
    return ax


def _in_words(log: Log) -> str:
    parts = []
    for number, end in sorted(log.ends.items()):
        keys = [text(record.key) for record in log.records if record.partition == number]
        committed = f", committed {log.committed[number]}" if number in log.committed else ""
        held = " ".join(keys[-40:]) or "empty"
        parts.append(f"Partition {number}: {held}; end {end}{committed}.")
    return " ".join(parts)


def _looks(keys: list[str]) -> dict[str, dict[str, str]]:
    """A colour and a hatching for each key; the same key looks the same wherever its topic is drawn."""
    return {key: _look(number) for number, key in enumerate(sorted(set(keys)))}


def _look(number: int) -> dict[str, str]:
    return {"facecolor": COLOURS[number % len(COLOURS)], "hatch": HATCHES[number % len(HATCHES)]}


def _axes(width: float, height: float) -> Axes:
    figure = plt.figure(FigureClass=Described, figsize=(min(width, 11), height), facecolor=GROUND, layout="constrained")
    axes = figure.add_subplot(facecolor=GROUND)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    return axes


def _describe(ax: Axes, words: str) -> None:
    if isinstance(ax.figure, Described):
        ax.figure.words = f"{ax.figure.words} {words}".strip()
