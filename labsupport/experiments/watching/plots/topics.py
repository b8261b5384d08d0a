"""A topic, and how far a group has come in it. Lesson 02 draws the first, lesson 04 the second."""

import itertools
from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from labsupport.experiments.watching.lag import Lag, PartitionLag
from labsupport.experiments.watching.log import Log, text
from labsupport.experiments.watching.plots.figure import COLOURS, INK, describe, described_axes, legend, look

# How far a group has come in a partition.
SECTIONS = {
    "up to committed": {"facecolor": COLOURS[2], "hatch": ""},
    "handed out": {"facecolor": COLOURS[3], "hatch": "//"},
    "left": {"facecolor": "white", "hatch": ""},
}


def log(log: Log, ax: Axes | None = None, *, limit: int = 40) -> Axes:
    """The log: partitions are rows, offsets columns, records cells in the colour and hatching of their key.

    A line marks each partition's end, a triangle what a group has committed. Of each partition the last `most` offsets
    are shown. Without `ax` a new figure is made.
    """
    first = max(0, max(log.ends.values()) - limit)
    width = max(log.ends.values()) - first
    ax = ax or described_axes(2.6 + 0.46 * max(width, 6), 1.5 + 0.5 * len(log.ends))
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
    legend(ax, patches)
    describe(ax, f"Picture: the log of {log.topic}. {_in_words(log)}")
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
    return {key: look(number) for number, key in enumerate(sorted(set(keys)))}


def lag(moments: Mapping[str, Lag], ax: Axes | None = None) -> Axes:
    """A group's places at several moments, one bar for each partition at each: what is committed, handed out, left.

    The bar goes from the log's beginning to its end. A triangle above it marks what is committed, one below it the
    consumer's position. `moments`: what to call each, in their order. Without `ax` a new figure is made.
    """
    rows = [(moment, place) for moment, lag in moments.items() for place in lag.partitions]
    several = any(len(lag.partitions) > 1 for lag in moments.values())
    ax = ax or described_axes(9, 1.3 + 0.55 * len(rows))
    for row, (_, place) in enumerate(rows):
        committed = place.begin if place.committed is None or place.out_of_range else place.committed
        position = max(committed, place.begin if place.position is None else place.position)
        edges = (place.begin, committed, position, place.end)
        for (begin, end), how in zip(itertools.pairwise(edges), SECTIONS.values(), strict=True):
            ax.add_patch(Rectangle((begin, row - 0.25), end - begin, 0.5, edgecolor=INK, **how))
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
    keys = [Patch(label=name, edgecolor=INK, **look) for name, look in SECTIONS.items()]
    keys.append(plt.Line2D([], [], marker="v", linestyle="", color=INK, label="committed"))
    keys.append(plt.Line2D([], [], marker="^", linestyle="", color=INK, fillstyle="none", label="position"))
    legend(ax, keys)
    describe(ax, f"Picture: places in {topic}. {' '.join(_place_in_words(*row) for row in rows)}")
    return ax


def _place_in_words(moment: str, place: PartitionLag) -> str:
    words = [f"{moment}, partition {place.partition}: begin {place.begin}"]
    words += [] if place.position is None else [f"position {place.position}"]
    words += [place.note] if place.committed is None else [f"committed {place.committed}", *filter(None, [place.note])]
    return ", ".join([*words, f"end {place.end}, lag {place.lag}"]) + "."
