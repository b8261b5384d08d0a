"""Pictures: each takes data and returns its axes; none touches a broker. Lesson 02 draws the first.

They are drawn on a light ground of their own, so that they look the same in JupyterLab's light and dark theme. Colours
are those of Okabe and Ito, which colour-blind readers can tell apart; hatching says the same again. What a picture
shows is also its text: `repr` of the figure, which is what a reader without the picture gets.
"""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from labsupport.experiments.log import Log, text

COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#8DA0CB", "#BBBBBB")
HATCHES = ("", "//", "..", "xx", "\\\\")  # with eight colours: forty keys before a pair comes again
GROUND, INK = "#FCFCFA", "#222222"


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
    return {
        key: {"facecolor": COLOURS[number % len(COLOURS)], "hatch": HATCHES[number % len(HATCHES)]}
        for number, key in enumerate(sorted(set(keys)))
    }


def _axes(width: float, height: float) -> Axes:
    figure = plt.figure(FigureClass=Described, figsize=(min(width, 11), height), facecolor=GROUND, layout="constrained")
    axes = figure.add_subplot(facecolor=GROUND)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    return axes


def _describe(ax: Axes, words: str) -> None:
    if isinstance(ax.figure, Described):
        ax.figure.words = f"{ax.figure.words} {words}".strip()
