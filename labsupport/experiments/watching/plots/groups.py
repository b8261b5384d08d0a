"""The members of a group, over time: who had which partition, and when which record was tried. From lesson 05 on."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from labsupport.delivery.moments import ATTEMPTS, Kind, Moment
from labsupport.experiments.watching.ownership import History, Span
from labsupport.experiments.watching.plots.figure import ALARM, GROUND, INK, describe, described_axes, legend, look


def timeline(history: History, ax: Axes | None = None) -> Axes:
    """Who had which partition when: partitions are rows, members colours; a partition of two owners is split.

    Hatched is the time in which nobody had a partition, a triangle is the end of a rebalance, a line what was done to
    a member. Its words have no times: they are others each time. Without `ax` a new figure is made.
    """
    spans = history.spans
    halves = _halves(spans)
    names, rows = (
        sorted({each.client_id for each in history.told(Kind.ASSIGNED)}),
        sorted({span.partition for span in spans}),
    )
    last = max((span.end for span in spans), default=0.0)
    looks = {name: look(number) for number, name in enumerate(names)}
    ax = ax or described_axes(9, 2.0 + 0.5 * len(rows))
    plate = {"facecolor": GROUND, "edgecolor": "none", "pad": 1}  # over hatchings, and over the lines of others
    for gap in history.gaps:
        ax.broken_barh([(gap.begin, gap.seconds)], (gap.partition - 0.36, 0.72), facecolor="none", edgecolor=ALARM,
                       hatch="xxx", linewidth=0)  # fmt: skip
        if gap.seconds > 0.5:
            ax.text((gap.begin + gap.end) / 2, gap.partition, f"{gap.seconds:.1f} s", fontsize=8, ha="center",
                    va="center", color=INK, bbox=plate)  # fmt: skip
    for span in spans:
        height, shift = (0.72, 0) if span not in halves else (0.34, 0.19 * (1 if halves[span] else -1))
        seconds = span.seconds + (0.04 * last if span.end == last else 0)  # what somebody has in the end is to be seen
        ax.barh(span.partition + shift, seconds, height, left=span.begin, edgecolor=INK, **looks[span.member])
    for at in history.rebalances:
        ax.plot(at, -0.62, marker="v", color=INK, markersize=6, clip_on=False)
    for number, moment in enumerate(history.done_to):
        at = moment.time - history.zero
        ax.axvline(at, color=INK, linewidth=0.9, linestyle="--")
        how = {"fontsize": 8, "color": INK, "bbox": plate, "textcoords": "offset points", "xytext": (3, 0)}
        ax.annotate(f"{moment.client_id} {moment.kind}", (at, -0.85 - 0.3 * (number % 2)), **how)
    ax.set_ylim(max(rows, default=0) + 0.6, -1.4)
    ax.set_yticks(rows)
    ax.set_xlabel("time (s)")
    ax.set_ylabel("partition")
    patches = [Patch(label=name, edgecolor=INK, **look) for name, look in looks.items()]
    patches.append(Patch(label="nobody", facecolor="none", edgecolor=ALARM, hatch="xxx"))
    patches.append(plt.Line2D([], [], marker="v", linestyle="", color=INK, label="rebalance done"))
    legend(ax, patches)
    done = "".join(f", {moment.client_id} {moment.kind}" for moment in history.done_to).replace(",", ";", 1)
    describe(ax, f"Picture: who had which partition when. Members {', '.join(names)}{done}.")

    return ax


def _halves(spans: Sequence[Span]) -> dict[Span, bool]:
    """Of the spans that meet another one: whether each is drawn in the lower half of its row, where the other is not.

    Whoever had the partition first is above.
    """
    halves: dict[Span, bool] = {}
    for span in spans:  # by partition, and then by when they begin
        others = [other for other in spans if span.meets(other)]
        if others:
            above = {halves[other] for other in others if other in halves}
            halves[span] = False in above and True not in above
    return halves


def attempts(runs: Mapping[str, Sequence[Moment]], ax: Axes | None = None) -> Axes:
    """When each record was tried: a lane for each partition of each run; crosses are failures, dots what was handled.

    Hatched is the time from a failure to the next attempt; figures are offsets. A run's time begins with its first
    attempt. The words have no times: they are others each time. Without `ax` a new figure is made.
    """
    lanes = [(name, place, _tried(moments, place)) for name, moments in runs.items() for place in _places(moments)]
    ax = ax or described_axes(9, 1.3 + 0.5 * len(lanes))
    for height, (name, _, tried) in enumerate(lanes):
        zero = min(moment.time for moment in runs[name])
        for moment, then in zip(tried, (*tried[1:], None), strict=True):
            at = moment.time - zero
            if moment.kind is Kind.FAILED:
                ax.plot(at, height, marker="x", markersize=9, markeredgewidth=2, color=ALARM, zorder=3)
                if then:
                    wait = then.time - moment.time
                    ax.barh(height, wait, 0.5, left=at, facecolor="none", edgecolor=INK, hatch="////", linewidth=0.6)
            else:
                ax.plot(at, height, marker="o", markersize=7, markeredgecolor=INK, color=look(2)["facecolor"], zorder=3)
        for handled, together in groupby(tried, lambda moment: moment.kind is Kind.HANDLED):
            offsets = [moment.offset for moment in together]
            if handled and tried:
                first = next(moment for moment in tried if moment.kind is Kind.HANDLED and moment.offset == offsets[0])
                ax.text(first.time - zero, height - 0.3, _span(offsets), fontsize=8, color=INK, ha="left", va="bottom")
    ax.set_ylim(len(lanes) - 0.4, -0.8)
    ax.set_yticks(range(len(lanes)), [f"{name}, partition {place}" for name, place, _ in lanes])
    ax.set_xlabel("time (s)")
    last = max(
        (moment.time - min(each.time for each in moments) for moments in runs.values() for moment in moments), default=1
    )
    ax.set_xlim(-0.03 * last, 1.06 * last)
    marks = [plt.Line2D([], [], marker="x", linestyle="", markeredgewidth=2, color=ALARM, label="failed"),
             plt.Line2D([], [], marker="o", linestyle="", markeredgecolor=INK, color=look(2)["facecolor"],
                        label="handled"),
             Patch(label="waits", facecolor="none", edgecolor=INK, hatch="////")]  # fmt: skip
    legend(ax, marks)
    told = "; ".join(f"{name}: {_story(tried)}" for name, _, tried in lanes)
    describe(ax, f"Picture: when each record was tried, by partition. {told}.")
    return ax


def _places(moments: Sequence[Moment]) -> list[int]:
    """The partitions of these moments, the one that failed first in front."""
    failed = [moment.partitions[0].partition for moment in moments if moment.kind is Kind.FAILED]
    return sorted({each.partitions[0].partition for each in moments if each.offset is not None},
                  key=lambda place: (place not in failed, place))  # fmt: skip


def _tried(moments: Sequence[Moment], partition: int) -> list[Moment]:
    own = [each for each in moments if each.kind in ATTEMPTS]
    return [each for each in own if each.partitions[0].partition == partition]


def _span(offsets: Sequence[int]) -> str:
    return str(offsets[0]) if len(offsets) == 1 else f"{offsets[0]}–{offsets[-1]}"


def _story(tried: Sequence[Moment]) -> str:
    parts = []
    for what, together in groupby(tried, lambda moment: moment.kind):
        offsets = [moment.offset for moment in together]
        times = f" {len(offsets)} times" if what is Kind.FAILED and len(set(offsets)) == 1 < len(offsets) else ""
        parts.append(f"{_span(offsets if not times else offsets[:1])} {what}{times}")
    return ", ".join(parts)
