"""The members of a group: who had which partition when. Lesson 05 draws it."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from labsupport.experiments.history import History
from labsupport.experiments.plots.figure import ALARM, GROUND, INK, describe, described_axes, legend, look


def timeline(history: History, ax: Axes | None = None) -> Axes:
    """Who had which partition when: partitions are rows, members colours; a partition of two owners is split.

    Hatched is the time in which nobody had a partition, a triangle is the end of a rebalance, a line what was done to
    a member. Its words have no times: they are others each time. Without `ax` a new figure is made.
    """
    spans = history.spans
    names, rows = sorted({each.who for each in history.told("assigned")}), sorted({span.partition for span in spans})
    last = max((span.end for span in spans), default=0.0)
    looks = {name: look(number) for number, name in enumerate(names)}
    ax = ax or described_axes(11, 2.0 + 0.5 * len(rows))
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
        seconds = span.seconds + (0.04 * last if span.end == last else 0)  # what somebody has in the end is to be seen
        ax.barh(span.partition + shift, seconds, height, left=span.begin, edgecolor=INK, **looks[span.member])
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
    legend(ax, patches)
    done = "".join(f", {moment.who} {moment.what}" for moment in history.done_to).replace(",", ";", 1)
    describe(ax, f"Picture: who had which partition when. Members {', '.join(names)}{done}.")

    return ax
