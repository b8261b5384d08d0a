"""The replicas of a partition over time: which broker leads, and which are in sync. Lesson 18."""

from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from labsupport.experiments.watching.plots.figure import COLOURS, GROUND, INK, describe, described_axes, legend
from labsupport.experiments.watching.replicas import ELIGIBLE, IN_SYNC, LEADER, OUT

if TYPE_CHECKING:
    from labsupport.experiments.watching.replicas import History

ROLES: dict[str, dict[str, Any]] = {
    LEADER: {"facecolor": COLOURS[0], "hatch": ""},
    IN_SYNC: {"facecolor": COLOURS[1], "hatch": "//"},
    ELIGIBLE: {"facecolor": COLOURS[3], "hatch": ".."},
    OUT: {"facecolor": "white", "hatch": ""},
}


def replicas(history: "History", partition: int = 0, ax: Axes | None = None) -> Axes:
    """What each broker was for the partition, over time: a row for each replica, the first one above.

    Vertical lines are numbered: they are the history's marks, listed below. The description has no times, because they
    differ in each run. Without `ax` it makes a new figure.
    """
    spans = history.spans(partition)
    brokers = list(dict.fromkeys(span.broker for span in spans))
    last = max((span.end for span in spans), default=0.0)
    ax = ax or described_axes(9, 1.5 + 0.45 * len(brokers) + 0.17 * len(history.marks))
    for span in spans:
        seconds = span.end - span.begin + (0.04 * last if span.end == last else 0)  # so that a last change is visible
        ax.barh(brokers.index(span.broker), seconds, 0.7, left=span.begin, edgecolor=INK, **ROLES[span.role])
    plate = {"facecolor": GROUND, "edgecolor": "none", "pad": 0.5}  # keeps text readable on lines and bars
    for number, at in enumerate(history.marks.values(), start=1):
        ax.axvline(at, color=INK, linewidth=0.9, linestyle="--")
        height = -0.55 - 0.28 * (number % 2)  # neighbours often have the same time
        ax.text(at, height, str(number), fontsize=8, ha="center", va="center", color=INK, bbox=plate, clip_on=False)
    ax.set_yticks(range(len(brokers)), [f"broker {number}" for number in brokers])
    ax.set_ylim(max(len(brokers), 1) - 0.5, -1.0)
    ax.set_xlim(0, 1.04 * last or 1)
    done = [f"{number}: {what}" for number, what in enumerate(history.marks, start=1)]
    ax.set_xlabel("\n".join(["time (s)", *done]), fontsize=8, loc="left")
    seen = {span.role for span in spans}
    legend(ax, [Patch(label=role, edgecolor=INK, **look) for role, look in ROLES.items() if role in seen])
    states = {each.at: each.state for each in history.of(partition)}
    steps = "; ".join(
        f"{what}: {', '.join(f'{number} {state.role(number)}' for number in brokers)}"
        for what, at in history.marks.items()
        if (state := states.get(at))
    )
    describe(ax, f"Picture: what each broker was for partition {partition}, over time. {steps or 'No marks'}.")
    return ax
