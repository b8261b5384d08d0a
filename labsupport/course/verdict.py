"""What `lab.check` returns: a value that terminals, notebooks and programs can read."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from labsupport.delivery.moments import Moment

MIME = "application/vnd.kafka-lab.verdict+json"


class Outcome(StrEnum):
    """The six possible outcomes of a check."""

    NOT_ATTEMPTED = "NOT ATTEMPTED"
    PASS = "PASS"
    TRY_AGAIN = "TRY AGAIN"
    ERROR = "ERROR"
    LAB_DOWN = "LAB DOWN"
    LAB_BUSY = "LAB BUSY"


# JupyterLab's own colours, which follow its theme, with a fallback for other viewers
COLOURS = {
    Outcome.NOT_ATTEMPTED: "var(--jp-info-color1, #1976d2)",
    Outcome.PASS: "var(--jp-success-color1, #388e3c)",
    Outcome.TRY_AGAIN: "var(--jp-warn-color1, #f57c00)",
    Outcome.ERROR: "var(--jp-error-color1, #d32f2f)",
    Outcome.LAB_DOWN: "var(--jp-error-color1, #d32f2f)",
    Outcome.LAB_BUSY: "var(--jp-info-color1, #1976d2)",
}
BOX = "padding: 0.4em 0.8em; color: var(--jp-content-font-color1, inherit); border-left: 5px solid "
CELL = "vertical-align: top; text-align: left; padding: 0.1em 0.8em 0.1em 0; color: inherit"
MONO = "margin: 0; white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; color: inherit"
PROSE = ("rule", "seen", "look at")  # fields of prose; the others are set in a fixed width


@dataclass(frozen=True)
class Verdict:
    """The verdict on an answer to an exercise. Empty fields are not shown.

    `says` is the first sentence. `given` is the input of the learner's code, `came_back` its result, `where` the line
    that raised, `rule` the rule that it breaks, `seen` what the lab met if the answer is not to blame, `story` the
    shortest story that shows the fault (lines of fixed width), `printed` the code's output, `look_at` the one thing to
    look at next, `moments` the story to draw in a notebook.
    """

    exercise: str
    outcome: Outcome
    says: str = ""
    given: str = ""
    came_back: str = ""
    where: str = ""
    rule: str = ""
    seen: str = ""
    story: str = ""
    printed: str = ""
    look_at: str = ""
    moments: tuple[Moment, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.outcome is Outcome.PASS

    def _lines(self) -> list[tuple[str, str]]:
        labels = {"came_back": "came back", "look_at": "look at"}
        names = ("given", "came_back", "where", "rule", "seen", "story", "printed", "look_at")
        return [(labels.get(name, name), getattr(self, name)) for name in names if getattr(self, name)]

    def __repr__(self) -> str:
        lines = [f"{self.outcome} {self.exercise} · {self.says}".removesuffix(" · ")]
        for label, value in self._lines():
            lines.append(f"  {label + ':':<11}" + value.replace("\n", "\n" + " " * 13))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        colour = COLOURS[self.outcome]
        rows = "".join(
            f'<tr style="background: none"><td style="{CELL}">{label}</td>'
            f'<td style="{CELL}">{_cell(label, value)}</td></tr>'
            for label, value in self._lines()
        )
        table = f'<table style="margin: 0.3em 0">{rows}</table>' if rows else ""
        if self.moments:
            table += f'<img alt="{html.escape(self.story)}" src="data:image/png;base64,{_drawn(self.moments)}">'
        return (
            f'<div style="{BOX}{colour}"><b>{self.outcome}</b> '
            f"<b>{html.escape(self.exercise)}</b> {html.escape(self.says)}{table}</div>"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The three forms at once; the third one, for programs, may change without notice."""
        fields = asdict(replace(self, moments=()))
        del fields["moments"]
        return {"text/plain": repr(self), "text/html": self._repr_html_(), MIME: fields}


def _drawn(moments: Sequence[Moment]) -> str:
    """The moments' space-time diagram as a PNG in base64."""
    from matplotlib import pyplot  # here, because its import takes longer than the rest of a lesson

    from labsupport.experiments.watching import plots

    png, figure = io.BytesIO(), plots.spacetime(moments).get_figure(root=True)
    if figure is None:  # the axes were removed from it
        return ""
    figure.savefig(png, format="png", dpi=72)
    pyplot.close(figure)
    return base64.b64encode(png.getvalue()).decode("ascii")


def _cell(label: str, value: str) -> str:
    safe = html.escape(value)
    return safe if label in PROSE else f'<pre style="{MONO}">{safe}</pre>'
