"""The space-time diagram: what happened in which order, from the sent event to its effect.

Lanes: the producer, the broker's topic, each consumer process, the dead letter topic if it has records, and the
database if there are SQL statements (otherwise "handled" has a mark). A step to the right is the next moment; its width
says nothing about time. The moments come from a crash search's counterexample, `faults.run`, a worker's hook or
`trace.of_events`.
"""

from collections.abc import Collection, Sequence
from typing import Any

from matplotlib.axes import Axes

from labsupport.delivery.moments import ARRIVALS, UNMARKED, Kind, Moment
from labsupport.experiments.watching.plots.figure import ALARM, COLOURS, GROUND, INK, describe, described_axes

LABELS = {Kind.RETRYING: "retry", Kind.PAUSED: "pause"}


def spacetime(moments: Sequence[Moment], ax: Axes | None = None) -> Axes:
    """Draw the moments in order. Arrows: a send, a delivery, a statement, a commit, a dead letter, a redrive.

    An event has one colour in all lanes, and keeps its number after a redrive. A cross marks a crash, or a statement
    that failed. Without `ax` it makes a new figure.
    """
    statements = any(moment.kind is Kind.STATEMENT for moment in moments)
    unmarked = UNMARKED if statements else UNMARKED - {Kind.HANDLED}
    steps = zip((None, *moments), moments, (*moments[1:], None), strict=False)
    shown = [moment for before, moment, then in steps if _shows(before, moment, then, unmarked)]
    dead = ["dead letters"] if any(each.kind in (Kind.DEAD_LETTERED, Kind.REDRIVEN) for each in shown) else []
    consumers = dict.fromkeys(_lane(each) for each in shown if each.kind not in ARRIVALS)
    lanes = ["producer", "broker", *consumers, *dead, *(["database"] if statements else [])]
    heights = {lane: -number for number, lane in enumerate(lanes)}
    numbers = _numbers(shown)
    ids = list(dict.fromkeys(each.event_id for each in shown if each.event_id))
    ax = ax or described_axes(2.2 + 0.34 * len(shown), 1.4 + 0.75 * len(lanes))
    for lane, height in heights.items():
        own = [step for step, each in enumerate(shown) if _lane(each) == lane] or [0, len(shown) - 1]
        first, last = (own[0], own[-1]) if lane.startswith("consumer") else (0, len(shown) - 1)
        ax.plot([first - 0.4, last + 0.4], [height] * 2, color=INK, linewidth=1.2, zorder=1)
    for step, moment in enumerate(shown):
        colour = COLOURS[ids.index(moment.event_id) % len(COLOURS)] if moment.event_id else INK
        begin, end, label = _arrow(moment, numbers)
        here = heights[_lane(moment)]
        if begin != end:
            tip, tail = heights.get(end, here), heights.get(begin, here)
            how = {"arrowstyle": "-|>", "color": colour, "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", (step + 0.25, tip), (step - 0.25, tail), arrowprops=how, zorder=2)
            above = tip > tail
            text: dict[str, Any] = {"fontsize": 7, "color": INK, "ha": "left" if above else "right", "rotation": 60}
            ax.text(step + 0.2, tip + (0.08 if above else -0.08), label, va="bottom" if above else "top", **text)
            if _is_failed_statement(moment):
                cross: dict[str, Any] = {"marker": "x", "markersize": 10, "markeredgewidth": 3, "color": ALARM}
                ax.plot(step + 0.25, tip, zorder=4, **cross)
        elif moment.kind is Kind.CRASHED:
            ax.plot(step, here, marker="X", markersize=13, color=COLOURS[5], markeredgecolor=INK, zorder=3)
            ax.text(step, here + 0.22, "crash", fontsize=8, ha="center", color=INK)
        else:
            ax.plot(step, here, marker="s", markersize=7, color=GROUND, markeredgecolor=INK, zorder=3)
            ax.text(step, here + 0.16, label, fontsize=7, ha="center", color=INK)
    ax.set_xlim(-0.8, len(shown) - 0.2)
    ax.set_ylim(0.1 - len(lanes), 0.7)
    ax.set_yticks(list(heights.values()), list(heights))
    ax.set_xticks([])
    ax.set_xlabel("steps, in their order")
    ax.spines["bottom"].set_visible(False)
    describe(ax, f"Picture: space-time diagram. {_in_words(shown, numbers)}")
    return ax


def _lane(moment: Moment) -> str:
    return {Kind.SENT: "producer", Kind.REDRIVEN: "dead letters"}.get(moment.kind, f"consumer {moment.client_id}")


def _shows(before: Moment | None, moment: Moment, then: Moment | None, unmarked: Collection[Kind]) -> bool:
    """Whether to draw the moment.

    Left out: a statement just before a crash, which was never executed; and a failure whose statement has a cross.
    """
    crashed = then is not None and then.kind is Kind.CRASHED and then.client_id == moment.client_id
    has_cross = before is not None and _is_failed_statement(before) and before.client_id == moment.client_id
    left_out = (moment.kind is Kind.STATEMENT and crashed) or (moment.kind is Kind.FAILED and has_cross)
    return moment.kind not in unmarked and not left_out


def _is_failed_statement(moment: Moment) -> bool:
    return moment.kind is Kind.STATEMENT and bool(moment.error)


def _numbers(shown: Sequence[Moment]) -> dict[tuple, int]:
    """The number of each record: its offset + 1; a redriven record has its event's first number.

    If two events would have the same number, because they lie in different partitions, they are numbered in order.
    """
    first: dict[str, int] = {}
    for moment in shown:
        if moment.event_id:
            first.setdefault(moment.event_id, (moment.offset or 0) + 1)
    clash = len(set(first.values())) < len(first)
    if clash:
        first = {event_id: number for number, event_id in enumerate(first, start=1)}
    numbers: dict[tuple, int] = {}
    for moment in shown:
        number = (moment.offset or 0) + 1
        if moment.event_id and (clash or moment.kind is Kind.REDRIVEN):
            number = first[moment.event_id]
        numbers.setdefault(_identity(moment), number)
    return numbers


def _identity(moment: Moment) -> tuple:
    return moment.event_id, moment.offset


def _arrow(moment: Moment, numbers: dict[tuple, int]) -> tuple[str, str, str]:
    """From which lane, to which lane, and the label; both lanes are the same for a mark."""
    lane, number = _lane(moment), numbers[_identity(moment)]
    if moment.kind is Kind.SENT:
        return lane, "broker", f"send {number}"
    if moment.kind is Kind.REDRIVEN:
        return lane, "broker", f"redrive {number}"
    if moment.kind is Kind.HANDLING:
        return "broker", lane, f"event {number}"
    if moment.kind is Kind.DEAD_LETTERED:
        return lane, "dead letters", f"dead letter {number}"
    if moment.kind is Kind.COMMITTED:
        return lane, "broker", "commit" if moment.offset is None else f"commit {moment.offset}"
    if moment.kind is Kind.STATEMENT:
        return lane, "database", f"{moment.name} failed" if moment.error else moment.name
    return lane, lane, LABELS.get(moment.kind, moment.point)


def _in_words(shown: Sequence[Moment], numbers: dict[tuple, int]) -> str:
    parts: list[str] = []
    lane = ""
    for moment in shown:
        own, label = _lane(moment), _arrow(moment, numbers)[2]
        parts.append(label if own == lane else f"{own}: {label}")
        lane = own
    return "; ".join(parts) + "."
