"""The space-time diagram of a story: who did what in which order, from the event that was sent to its effect.

Lanes are the producer, the broker, each process that consumed, and the database; a step to the right is the next thing
that happened, and says nothing about how long it took. It draws moments: those of a torture's story, of `faults.run`,
or of a worker's hook.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes

from labsupport.events.worker import Moment
from labsupport.experiments.plots.figure import COLOURS, GROUND, INK, describe, described_axes

QUIET = ("assigned", "revoked", "committing", "writing", "second write", "handled", "slowed")  # no mark of their own


def spacetime(moments: Sequence[Moment], ax: Axes | None = None) -> Axes:
    """Draw the moments in their order. Arrows: sent, handed out, a statement to the database, a commit to the broker.

    An event has the same colour in all lanes; a cross marks a crash. Without `ax` a new figure is made.
    """
    shown = [moment for moment, then in zip(moments, (*moments[1:], None), strict=True) if _shows(moment, then)]
    lanes = ["producer", "broker", *dict.fromkeys(_lane(each) for each in shown if each.what != "sent"), "database"]
    heights = {lane: -number for number, lane in enumerate(lanes)}
    ids = list(dict.fromkeys(each.event_id for each in shown if each.event_id))
    ax = ax or described_axes(2.2 + 0.34 * len(shown), 1.4 + 0.75 * len(lanes))
    for lane, height in heights.items():
        own = [step for step, each in enumerate(shown) if _lane(each) == lane] or [0, len(shown) - 1]
        first, last = (own[0], own[-1]) if lane.startswith("consumer") else (0, len(shown) - 1)
        ax.plot([first - 0.4, last + 0.4], [height] * 2, color=INK, linewidth=1.2, zorder=1)
    for step, moment in enumerate(shown):
        colour = COLOURS[ids.index(moment.event_id) % len(COLOURS)] if moment.event_id else INK
        begin, end, label = _arrow(moment)
        here = heights[_lane(moment)] if moment.what != "sent" else heights["producer"]
        if begin != end:
            tip, tail = heights.get(end, here), heights.get(begin, here)
            how = {"arrowstyle": "-|>", "color": colour, "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", (step + 0.25, tip), (step - 0.25, tail), arrowprops=how, zorder=2)
            above = tip > tail
            text = {"fontsize": 7, "color": INK, "ha": "left" if above else "right", "rotation": 60}
            ax.text(step + 0.2, tip + (0.08 if above else -0.08), label, va="bottom" if above else "top", **text)
        elif moment.what == "crashed":
            ax.plot(step, here, marker="X", markersize=13, color=COLOURS[5], markeredgecolor=INK, zorder=3)
            ax.text(step, here + 0.22, "crash", fontsize=8, ha="center", color=INK)
        else:
            ax.plot(step, here, marker="s", markersize=7, color=GROUND, markeredgecolor=INK, zorder=3)
            ax.text(step, here + 0.16, label, fontsize=7, ha="center", color=INK)
    ax.set_xlim(-0.8, len(shown) - 0.2)
    ax.set_ylim(heights["database"] - 0.9, 0.7)
    ax.set_yticks(list(heights.values()), list(heights))
    ax.set_xticks([])
    ax.set_xlabel("steps, in their order")
    ax.spines["bottom"].set_visible(False)
    describe(ax, f"Picture: space-time diagram. {_in_words(shown)}")
    return ax


def _lane(moment: Moment) -> str:
    return "broker" if moment.what == "sent" else f"consumer {moment.who}"


def _shows(moment: Moment, then: Moment | None) -> bool:
    """A statement before which the process crashed was never sent."""
    crashed = then is not None and then.what == "crashed" and then.who == moment.who
    return moment.what not in QUIET and not (crashed and _is_statement(moment.what))


def _is_statement(what: str) -> bool:
    return what.partition(" ")[0].isupper()


def _arrow(moment: Moment) -> tuple[str, str, str]:
    """From which lane to which, with which label; a moment that goes nowhere stays in its own."""
    consumer = _lane(moment)
    if moment.what == "sent":
        return "producer", "broker", f"send {_number(moment)}"
    if moment.what == "handling":
        return "broker", consumer, f"event {_number(moment)}"
    if moment.what == "committed":
        return consumer, "broker", "commit" if moment.offset is None else f"commit {moment.offset}"
    if _is_statement(moment.what):
        return consumer, "database", moment.what
    return consumer, consumer, moment.what


def _number(moment: Moment) -> int:
    return (moment.offset or 0) + 1


def _in_words(shown: Sequence[Moment]) -> str:
    parts: list[str] = []
    lane = ""
    for moment in shown:
        own = "producer" if moment.what == "sent" else _lane(moment)
        label = _arrow(moment)[2]
        parts.append(label if own == lane else f"{own}: {label}")
        lane = own
    return "; ".join(parts) + "."
