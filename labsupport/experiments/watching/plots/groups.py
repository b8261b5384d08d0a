"""The members of a group over time: who owned which partition, and when each record was tried. From lesson 05 on."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from labsupport.delivery.moments import ATTEMPTS, Kind, Moment
from labsupport.experiments.watching.ownership import GroupHistory, Span
from labsupport.experiments.watching.plots.figure import ALARM, GROUND, INK, describe, described_axes, legend, look


def timeline(history: GroupHistory, ax: Axes | None = None) -> Axes:
    """Who owned which partition when: partitions are rows, members colours; a row with two owners at once is split.

    Hatching marks the time without an owner, a triangle the end of a rebalance, a line what was done to a member. The
    description has no times, because they differ in each run. Without `ax` it makes a new figure.
    """
    spans = history.spans
    halves = _halves(spans)
    names = sorted({each.client_id for each in history.of_kind(Kind.ASSIGNED)})
    rows = sorted({span.partition for span in spans})
    last = max((span.end for span in spans), default=0.0)
    looks = {name: look(number) for number, name in enumerate(names)}
    ax = ax or described_axes(9, 2.0 + 0.5 * len(rows))
    plate = {"facecolor": GROUND, "edgecolor": "none", "pad": 1}  # keeps text readable on hatchings and lines
    for gap in history.gaps:
        ax.broken_barh([(gap.begin, gap.seconds)], (gap.partition - 0.36, 0.72), facecolor="none", edgecolor=ALARM,
                       hatch="xxx", linewidth=0)  # fmt: skip
        if gap.seconds > 0.5:
            ax.text((gap.begin + gap.end) / 2, gap.partition, f"{gap.seconds:.1f} s", fontsize=8, ha="center",
                    va="center", color=INK, bbox=plate)  # fmt: skip
    for span in spans:
        height, shift = (0.72, 0) if span not in halves else (0.34, 0.19 * (1 if halves[span] else -1))
        seconds = span.seconds + (0.04 * last if span.end == last else 0)  # so that a last assignment is visible
        ax.barh(span.partition + shift, seconds, height, left=span.begin, edgecolor=INK, **looks[span.member])
    for at in history.rebalances:
        ax.plot(at, -0.62, marker="v", color=INK, markersize=6, clip_on=False)
    for number, moment in enumerate(history.interventions):
        at = moment.time - history.start_time
        ax.axvline(at, color=INK, linewidth=0.9, linestyle="--")
        how: dict[str, Any] = {
            "fontsize": 8,
            "color": INK,
            "bbox": plate,
            "textcoords": "offset points",
            "xytext": (3, 0),
        }
        ax.annotate(f"{moment.client_id} {moment.kind}", (at, -0.85 - 0.3 * (number % 2)), **how)
    ax.set_ylim(max(rows, default=0) + 0.6, -1.4)
    ax.set_yticks(rows)
    ax.set_xlabel("time (s)")
    ax.set_ylabel("partition")
    patches: list[Artist] = [Patch(label=name, edgecolor=INK, **look) for name, look in looks.items()]
    patches.append(Patch(label="nobody", facecolor="none", edgecolor=ALARM, hatch="xxx"))
    patches.append(plt.Line2D([], [], marker="v", linestyle="", color=INK, label="rebalance done"))
    legend(ax, patches)
    interventions = "".join(f", {moment.client_id} {moment.kind}" for moment in history.interventions).replace(
        ",", ";", 1
    )
    describe(ax, f"Picture: who had which partition when. Members {', '.join(names)}{interventions}.")
    return ax


def _halves(spans: Sequence[Span]) -> dict[Span, bool]:
    """For each span that overlaps another: whether it is drawn in the lower half of its row.

    The first owner is above.
    """
    halves: dict[Span, bool] = {}
    for span in spans:  # ordered by partition and begin
        others = [other for other in spans if span.overlaps(other)]
        if others:
            above = {halves[other] for other in others if other in halves}
            halves[span] = False in above and True not in above
    return halves


def attempts(runs: Mapping[str, Sequence[Moment]], ax: Axes | None = None) -> Axes:
    """When each record was tried: a lane for each partition of each run; crosses are failures, dots are successes.

    `runs`: moments by the name of the run. Hatching marks the wait until the next attempt; numbers are offsets. Time
    starts at a run's first attempt. The description has no times, because they differ in each run. Without `ax` it
    makes a new figure.
    """
    lanes = [
        (name, number, _tried(moments, number)) for name, moments in runs.items() for number in _partitions(moments)
    ]
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
    ax.set_yticks(range(len(lanes)), [f"{name}, partition {number}" for name, number, _ in lanes])
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
    lanes_in_words = "; ".join(f"{name}: {_in_words(tried)}" for name, _, tried in lanes)
    describe(ax, f"Picture: when each record was tried, by partition. {lanes_in_words}.")
    return ax


def _partitions(moments: Sequence[Moment]) -> list[int]:
    """The partitions of these moments; those with a failure come first."""
    failed = [moment.partitions[0].partition for moment in moments if moment.kind is Kind.FAILED]
    return sorted({each.partitions[0].partition for each in moments if each.offset is not None},
                  key=lambda number: (number not in failed, number))  # fmt: skip


def _tried(moments: Sequence[Moment], partition: int) -> list[Moment]:
    own = [each for each in moments if each.kind in ATTEMPTS]
    return [each for each in own if each.partitions[0].partition == partition]


def _span(offsets: Sequence[int | None]) -> str:
    return str(offsets[0]) if len(offsets) == 1 else f"{offsets[0]}–{offsets[-1]}"


def _in_words(tried: Sequence[Moment]) -> str:
    parts = []
    for what, together in groupby(tried, lambda moment: moment.kind):
        offsets = [moment.offset for moment in together]
        times = f" {len(offsets)} times" if what is Kind.FAILED and len(set(offsets)) == 1 < len(offsets) else ""
        parts.append(f"{_span(offsets if not times else offsets[:1])} {what}{times}")
    return ", ".join(parts)
