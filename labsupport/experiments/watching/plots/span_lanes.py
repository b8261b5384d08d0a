"""Spans in lanes: what each service did in a trace, and which span led to it. Lesson 14."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from labsupport.experiments.watching.plots.figure import (
    ALARM,
    COLOURS,
    GROUND,
    INK,
    describe,
    described_axes,
    legend,
)

if TYPE_CHECKING:
    from labsupport.observability.tracing import SpanData

NONE = "–"  # of a span that is about no record
WIDTH, HEIGHT = 0.84, 0.6  # of a span's box, in steps and lanes
FILL = {"producer": COLOURS[0], "consumer": COLOURS[1]}
PARENT, LINK = "-", "--"


def spans(spans: Sequence["SpanData"], ax: Axes | None = None) -> Axes:
    """Draw the spans in the given order. A lane is a service; a step to the right is the next span, not a time.

    A dashed arrow is a link, a solid one leads from parent to child. Boxes say in which trace a span is; an outline in
    red is an error, an empty box with a broken outline is a span that never ended, and so was never exported. Without
    `ax` it makes a new figure.
    """
    lanes = {service: -number for number, service in enumerate(dict.fromkeys(span.service for span in spans))}
    traces = {each: number for number, each in enumerate(dict.fromkeys(span.trace for span in spans), start=1)}
    places = {span.span: (step, lanes[span.service]) for step, span in enumerate(spans)}
    ax = ax or described_axes(2.4 + 1.05 * len(spans), 0.6 + len(lanes))
    for height in lanes.values():
        ax.plot([-0.6, len(spans) - 0.4], [height] * 2, color=INK, linewidth=0.6, zorder=1)
    for span in spans:
        for origin, line in [(span.parent, PARENT), *((each, LINK) for each in span.links)]:
            if origin in places:
                _arrow(ax, places[origin], places[span.span], line)
        _box(ax, places[span.span], span, traces[span.trace])
    ax.set_xlim(-0.7, len(spans) - 0.3)
    ax.set_ylim(0.5 - len(lanes), 0.5)
    ax.set_yticks(list(lanes.values()), list(lanes))
    ax.set_xticks([])
    ax.set_xlabel("spans, in the order in which they began")
    ax.spines["bottom"].set_visible(False)
    lines: dict[str, Any] = {"child": PARENT} if any(span.parent for span in spans) else {}
    lines |= {"link": LINK} if any(span.links for span in spans) else {}
    legend(ax, [Line2D([], [], color=INK, linestyle=line, label=name) for name, line in lines.items()])
    describe(ax, f"Picture: spans in lanes. {_in_words(spans, traces)}")
    return ax


def _box(ax: Axes, place: tuple[int, int], span: "SpanData", trace: int) -> None:
    step, height = place
    corner = (step - WIDTH / 2, height - HEIGHT / 2)
    edge, ground = (ALARM if span.outcome != "ok" else INK), FILL.get(span.kind, COLOURS[7])
    look: dict[str, Any] = {"facecolor": ground} if span.ended else {"facecolor": GROUND, "linestyle": "--"}
    shape = "round,pad=0,rounding_size=0.06"
    ax.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, shape, edgecolor=edge, linewidth=1.4, zorder=3, **look))
    outcome = "" if span.outcome == "ok" else f"\n{span.outcome}"
    record = "" if span.record == NONE else f" {span.record}"
    words = f"{span.name.replace(' ', chr(10), 1)}{record}\ntrace {trace}{outcome}"
    ax.text(step, height, words, fontsize=8, ha="center", va="center", color=INK, zorder=4)


def _arrow(ax: Axes, begin: tuple[int, int], end: tuple[int, int], line: str) -> None:
    """Along the lane of the first box, then to the second in its column, where no other box can hide it."""
    tail, tip, bend = (begin[0] + WIDTH / 2, begin[1]), (end[0] - WIDTH / 2, float(end[1])), "arc3,rad=0"
    if begin[1] != end[1]:
        tip = (float(end[0]), end[1] + (HEIGHT / 2 if begin[1] > end[1] else -HEIGHT / 2))
        bend = "angle,angleA=0,angleB=90,rad=4"
    how: dict[str, Any] = {"arrowstyle": "-|>", "connectionstyle": bend, "linestyle": line, "linewidth": 0.9}
    ax.annotate("", tip, tail, arrowprops=how | {"color": INK, "shrinkA": 0, "shrinkB": 0}, zorder=2)


def _in_words(spans: Sequence["SpanData"], traces: dict[str, int]) -> str:
    numbers = {span.span: number for number, span in enumerate(spans, start=1)}
    parts = []
    for number, span in enumerate(spans, start=1):
        origin = [f"child of {numbers.get(span.parent, 'a span elsewhere')}"] if span.parent else []
        origin += [f"linked to {numbers.get(each, 'a span elsewhere')}" for each in span.links]
        outcome = [] if span.outcome == "ok" else [span.outcome]
        record = [] if span.record == NONE else [span.record]
        words = [span.name, *record, f"trace {traces[span.trace]}", *origin, *outcome]
        parts.append(f"{number} {span.service}: {', '.join(words)}")
    return "; ".join(parts) + "."
