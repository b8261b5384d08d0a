"""A topic's log (lesson 02), and a group's progress in it (lesson 04)."""

import itertools
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from kafka.consumer.fetcher import ConsumerRecord
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from labsupport.experiments.watching.lag import Lag, PartitionLag
from labsupport.experiments.watching.log import Log, text
from labsupport.experiments.watching.plots.figure import ALARM, COLOURS, INK, describe, described_axes, legend, look
from labsupport.transactions import ABORTED, COMMITTED, OPEN

# The sections of a partition, from log start to log end.
SECTIONS: dict[str, dict[str, Any]] = {
    "up to committed": {"facecolor": COLOURS[2], "hatch": ""},
    "delivered": {"facecolor": COLOURS[3], "hatch": "//"},
    "left": {"facecolor": "white", "hatch": ""},
}
# A transaction's marker, by what it says.
MARKERS: dict[str, dict[str, Any]] = {
    COMMITTED: {"marker": "D", "color": INK, "markersize": 7, "linestyle": ""},
    ABORTED: {"marker": "D", "color": ALARM, "markersize": 7, "linestyle": "", "fillstyle": "none"},
}
# What is drawn over a record that does not count, by its transaction's outcome.
STRIKE: dict[str, Any] = {"color": ALARM, "linewidth": 1.5}
FRAME: dict[str, Any] = {"fill": False, "edgecolor": ALARM, "linestyle": "--", "linewidth": 2}
DELETED: dict[str, Any] = {"facecolor": "#F4D9D9", "hatch": "xxx", "edgecolor": ALARM, "label": "deleted unread"}


def log(log: Log, ax: Axes | None = None, *, label: str = "key", limit: int = 40) -> Axes:
    """The log: partitions are rows, offsets columns, records cells in the colour and hatching of their key.

    A record's cell shows the end of its "key" or the beginning of its "value", as `label` says. A line marks the end of
    a partition, a triangle a group's committed offset. A diamond is a transaction's marker; aborted records are struck
    out, and those of open transactions have a dashed frame. Only the last `limit` offsets are shown. Without `ax` it
    makes a new figure.
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
            words = key.rpartition("-")[2] if label == "key" else text(record.value)
            style: dict[str, Any] = {"fontsize": 8, "ha": "center", "va": "center", "color": INK, "bbox": plate}
            ax.text(record.offset, record.partition, words[:4], **style)
            _show_outcome(ax, record, log.outcome(record))
    for each in log.markers:
        if each.offset >= first:
            ax.plot(each.offset, each.partition, **MARKERS[each.ends])
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
    patches: list[Artist] = [
        Patch(label="no key" if key == text(None) else key, edgecolor=INK, **look)
        for key, look in list(looks.items())[:12]
    ]
    if log.committed:
        patches.append(plt.Line2D([], [], marker="v", linestyle="", color=INK, label="committed"))
    patches += [
        plt.Line2D([], [], label=f"marker: {ends}", **how)
        for ends, how in MARKERS.items()
        if any(each.ends == ends for each in log.markers)
    ]
    if log.number(ABORTED):
        patches.append(plt.Line2D([], [], label=ABORTED, **STRIKE))
    if log.number(OPEN):
        patches.append(Patch(label=OPEN, **FRAME))
    legend(ax, patches)
    describe(ax, f"Picture: the log of {log.topic}. {_in_words(log, label)}")
    return ax


def _in_words(log: Log, label: str) -> str:
    parts = []
    for number, end in sorted(log.ends.items()):
        cells = [(each.offset, _cell_in_words(log, each, label)) for each in log.records if each.partition == number]
        cells += [(each.offset, f"[marker: {each.ends}]") for each in log.markers if each.partition == number]
        labels = [words for _, words in sorted(cells)]
        committed = f", committed {log.committed[number]}" if number in log.committed else ""
        held = " ".join(labels[-40:]) or "empty"
        parts.append(f"Partition {number}: {held}; end {end}{committed}.")
    return " ".join(parts)


def _cell_in_words(log: Log, record: ConsumerRecord, label: str) -> str:
    words, outcome = text(getattr(record, label)), log.outcome(record)
    return f"{words} ({outcome})" if outcome in (ABORTED, OPEN) else words


def _show_outcome(ax: Axes, record: ConsumerRecord, outcome: str) -> None:
    left, top = record.offset - 0.5, record.partition - 0.4
    if outcome == ABORTED:
        ax.plot([left, left + 1], [top + 0.8, top], **STRIKE)
    elif outcome == OPEN:
        ax.add_patch(Rectangle((left + 0.06, top + 0.05), 0.88, 0.7, **FRAME))


def _looks(keys: list[str]) -> dict[str, dict[str, Any]]:
    """A colour and a hatching for each key; a key looks the same in every picture of its topic."""
    return {key: look(number) for number, key in enumerate(sorted(set(keys)))}


def lag(moments: Mapping[str, Lag], ax: Axes | None = None) -> Axes:
    """A group's lag at several moments, a bar for each partition at each: committed, delivered, left.

    A bar goes from log start to log end. The triangle above it is the committed offset, the one below it the consumer's
    position. What was deleted before the group read it is hatched, to the left of the bar. `moments` has the lag by the
    name of the moment, in order. Without `ax` it makes a new figure.
    """
    rows = [(moment, each) for moment, lag in moments.items() for each in lag.partitions]
    several = any(len(lag.partitions) > 1 for lag in moments.values())
    ax = ax or described_axes(9, 1.3 + 0.55 * len(rows))
    for row, (_, each) in enumerate(rows):
        committed = each.begin if each.committed is None or each.out_of_range else each.committed
        position = max(committed, each.begin if each.position is None else each.position)
        edges = (each.begin, committed, position, each.end)
        for (begin, end), how in zip(itertools.pairwise(edges), SECTIONS.values(), strict=True):
            ax.add_patch(Rectangle((begin, row - 0.25), end - begin, 0.5, edgecolor=INK, **how))
        if deleted := _deleted_unread(each):
            ax.add_patch(Rectangle((each.begin - deleted, row - 0.25), deleted, 0.5, **DELETED))
            middle: dict[str, Any] = {"ha": "center", "va": "center", "backgroundcolor": DELETED["facecolor"]}
            ax.text(each.begin - deleted / 2, row, f"{deleted} deleted", fontsize=8, color=INK, **middle)
        if each.committed is not None:
            ax.plot(each.committed, row - 0.33, marker="v", color=INK, markersize=8, clip_on=False)
        if each.position is not None:
            ax.plot(each.position, row + 0.33, marker="^", color=INK, markersize=8, fillstyle="none", clip_on=False)
        ax.text(each.end + 0.15, row, f"lag {each.lag}", fontsize=8, va="center", color=INK)
    offsets = [edge for _, each in rows for edge in (each.begin, each.end, each.committed or each.begin)]
    ax.set_xlim(min(offsets) - 0.2, max(offsets) + max(1.0, 0.12 * (max(offsets) - min(offsets))))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    labels = [f"{moment} · {each.partition}" if several else moment for moment, each in rows]
    ax.set_yticks(range(len(rows)), labels)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("offset (records)")
    topic = next(iter(moments.values())).topic
    ax.set_title(f"topic {topic}{': moment · partition' if several else ''}", fontsize=10, loc="left")
    keys: list[Artist] = [Patch(label=name, edgecolor=INK, **look) for name, look in SECTIONS.items()]
    if any(_deleted_unread(each) for _, each in rows):
        keys.append(Patch(**DELETED))
    keys.append(plt.Line2D([], [], marker="v", linestyle="", color=INK, label="committed"))
    keys.append(plt.Line2D([], [], marker="^", linestyle="", color=INK, fillstyle="none", label="position"))
    legend(ax, keys)
    describe(ax, f"Picture: lag in {topic}. {' '.join(_lag_in_words(*row) for row in rows)}")
    return ax


def _deleted_unread(lag: PartitionLag) -> int:
    """How many offsets the log has lost that the group had not committed."""
    return max(0, lag.begin - (lag.begin if lag.committed is None else lag.committed))


def _lag_in_words(moment: str, lag: PartitionLag) -> str:
    words = [f"{moment}, partition {lag.partition}: begin {lag.begin}"]
    words += [] if lag.position is None else [f"position {lag.position}"]
    words += [lag.note] if lag.committed is None else [f"committed {lag.committed}", *filter(None, [lag.note])]
    deleted = [f"{deleted} deleted unread"] if (deleted := _deleted_unread(lag)) else []
    return ", ".join([*words, *deleted, f"end {lag.end}, lag {lag.lag}"]) + "."
