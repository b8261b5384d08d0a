"""The smallest failing story: with the fewest acts that still fail; in it the record with the fewest around it.

A crash may miss its moment, so a smaller plan that held once may still fail: the result is an upper bound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labsupport.capstone import plans
from labsupport.capstone.contract import COUNTS
from labsupport.capstone.plans import Act, Plan
from labsupport.capstone.sheet import KIND_OF, Entry, Placed
from labsupport.capstone.torturer import Happening, Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AROUND = 12  # records shown on either side


@dataclass(frozen=True)
class Story:
    """A record that the sheet complains about, the act nearest to it, and what lies around it in its partition.

    `certain`: whether it must be this record; otherwise it is the likeliest of those that would explain the entry.
    """

    entry: Entry
    record: Placed
    certain: bool
    happening: Happening | None
    around: tuple[Placed, ...]

    @property
    def lines(self) -> list[str]:
        """The story in words, a sentence a line."""
        place = f"partition {self.record.partition}, offset {self.record.offset}"
        what = self.record.event["event_id"] if self.record.event else "what is no event"
        said = [f"The record: {what} ({place}){'' if self.certain else ', or one like it'}."]
        if self.happening:
            before = self.happening.before.get(self.record.partition, 0)
            after = self.happening.after.get(self.record.partition, 0)
            said.append(
                f"Near it, {plans.WORDS[self.happening.act.kind]}: in its partition, offset {before} was committed "
                f"then, and {after} afterwards."
            )
        return [*said, self.entry.sentence]


def shrunk(
    outcome: Outcome, play: Callable[[Plan], Outcome], tries: int, tell: Callable[[str], object] = lambda _: None
) -> Outcome:
    """Play a failed plan again with fewer acts, at most `tries` times; return the smallest that fails alike.

    `tell` hears which acts are played.
    """
    tried: set[tuple[Act, ...]] = set()
    while len(tried) < tries:
        story = smallest(outcome)
        suspect = story.happening.act if story and story.happening else None
        plan = next((each for each in plans.fewer(outcome.plan, suspect) if each.acts not in tried), None)
        if plan is None:
            break
        tried.add(plan.acts)
        tell(f"smaller story {len(tried)} of at most {tries}: {', '.join(each.kind for each in plan.acts) or 'no act'}")
        again = play(plan)
        if _alike(again, outcome):
            outcome = again
    return outcome


def _alike(again: Outcome, outcome: Outcome) -> bool:
    """Whether it fails for the same reason, as far as the worst entry says."""
    worst, before = ([each.outcome for each in some.sheet.entries[:1]] for some in (again, outcome))
    return not again.passed and bool(again.problem) == bool(outcome.problem) and worst == before


def smallest(outcome: Outcome) -> Story | None:
    """Return the story of the worst outcome that has the fewest records; None if no record explains anything."""
    found = []
    for entry in outcome.sheet.entries:
        if entry.outcome == outcome.sheet.entries[0].outcome and (some := _candidates(entry, outcome)):
            found.append((len(some), entry, some))
    if not found:
        return None
    _, entry, some = min(found, key=lambda each: each[0])
    near = [(distance, each, act) for each in some for distance, act in _distances(each, outcome.happenings)]
    _, record, happening = min(near, key=lambda each: each[0]) if near else (0, some[-1], None)
    around = tuple(
        each
        for each in outcome.records
        if each.partition == record.partition and abs(each.offset - record.offset) <= AROUND
    )
    return Story(entry, record, len(some) == 1, happening, around)


def _candidates(entry: Entry, outcome: Outcome) -> list[Placed]:
    """The records that may be what the entry is about."""
    records = outcome.records
    if entry.place:
        return [each for each in records if (each.partition, each.offset) == entry.place]
    if entry.flight:
        return [each for each in records if each.event and each.event["payload"]["flight"] == entry.flight][:1]
    some = [each for each in records if each.cell == entry.cell and each.event]
    if entry.column not in COUNTS:
        return some
    some = [each for each in some if each.event and each.event["event_type"] == KIND_OF[entry.column]]
    if entry.column == "arrived" and entry.times == 1 and entry.cell is not None:
        off = outcome.given.cells.get(entry.cell, {}).get("minutes", 0) - outcome.truth.cells[entry.cell]["minutes"]
        return [each for each in some if abs(each.delay or 0) == abs(off)] or some
    return some


def _distances(record: Placed, happenings: Sequence[Happening]) -> list[tuple[int, Happening]]:
    """How many records lie between it and what each act found committed."""
    return [(abs(each.before.get(record.partition, 0) - record.offset), each) for each in happenings]


def draw(story: Story, ax: "Axes | None" = None) -> "Axes":
    """Draw the partition around the record: records as cells, that one framed, and what was committed at the act."""
    from matplotlib.patches import Rectangle

    from labsupport.experiments.watching.plots.figure import ALARM, COLOURS, INK, describe, described_axes

    ax = ax or described_axes(11, 2.6)
    offsets = [each.offset for each in story.around]
    for each in story.around:
        own = each.offset == story.record.offset
        face = COLOURS[5] if own else COLOURS[1] if each.key == story.record.key else "white"
        style: dict[str, Any] = {"facecolor": face, "edgecolor": ALARM if own else INK, "linewidth": 3 if own else 1}
        ax.add_patch(Rectangle((each.offset - 0.5, -0.4), 1, 0.8, zorder=3 if own else 2, **style))
        ax.text(each.offset, 0, _mark(each), ha="center", va="center", fontsize=9, color=INK, zorder=4)
    if story.happening:
        marks = {"committed at the act": story.happening.before, "committed after it": story.happening.after}
        for height, (label, committed) in enumerate(marks.items()):
            offset = committed.get(story.record.partition, 0)
            inside = min(max(offset, offsets[0]), offsets[-1] + 1)
            beyond = "" if inside == offset else f" ({'before' if offset < inside else 'after'} these)"
            ax.plot(
                [inside - 0.5] * 2, [-0.5, 0.55 + 0.3 * height], color=INK, linewidth=2, linestyle=("-", "--")[height]
            )
            words = f" {label}: {offset}{beyond}"
            side = "left" if inside - offsets[0] < len(offsets) / 2 else "right"
            ax.text(inside - 0.5, 0.62 + 0.3 * height, words, fontsize=8, ha=side, color=INK)
    ax.set_xlim(offsets[0] - 1, offsets[-1] + 1)
    ax.set_ylim(-0.6, 1.3)
    ax.set_yticks([])
    ax.set_xticks(offsets[::2])
    ax.set_xlabel(
        f"offset in partition {story.record.partition}; D departed, A arrived, C cancelled, R revision, X no event"
    )
    ax.set_title(story.entry.sentence[:150], fontsize=9, loc="left", color=INK)
    describe(ax, f"Picture: the smallest failing story. {' '.join(story.lines)}")
    return ax


def _mark(record: Placed) -> str:
    kinds = {"FlightDeparted": "D", "FlightArrived": "A", "FlightCancelled": "C", "DelayCorrected": "R"}
    return kinds[record.event["event_type"]] if record.event else "X"
