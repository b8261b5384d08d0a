"""What a service has survived: a line of figures for each story in the lab's home, and a page made of them."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from labsupport.broker.process import write_atomically
from labsupport.capstone import plans
from labsupport.capstone.sheet import OUTCOMES
from labsupport.capstone.torturer import Outcome
from labsupport.files import digest, storing
from labsupport.settings import Settings

FIGURES, PAGE = "capstone.jsonl", "capstone.html"


@dataclass(frozen=True)
class Line:
    """A story's figures. `code` identifies the service's files; `differs` counts by outcome what was not right."""

    level: str
    seed: int
    passed: bool
    events: int
    poison: int
    acts: tuple[str, ...]
    differs: Mapping[str, int]
    seconds: Mapping[str, float]
    code: str
    when: str


def keep(settings: Settings, folder: Path, outcome: Outcome) -> Path:
    """Add the story's figures, write the page anew, and return its path."""
    differs = {name: count for name in OUTCOMES if (count := outcome.sheet.count(name))}
    line = Line(
        outcome.plan.name,
        outcome.plan.seed,
        outcome.passed,
        outcome.sheet.events,
        outcome.sheet.poison,
        tuple(each.act.kind for each in outcome.happenings),
        differs,
        {name: round(seconds, 2) for name, seconds in outcome.seconds.items()},
        code_of(folder),
        datetime.now(UTC).isoformat(timespec="seconds"),
    )
    with storing(settings.home, "LAB_HOME"):
        lines = [*read(settings), line]
        write_atomically(settings.home / FIGURES, "".join(json.dumps(asdict(each)) + "\n" for each in lines))
        write_atomically(settings.home / PAGE, page(lines, code_of(folder)))
    return settings.home / PAGE


def code_of(folder: Path) -> str:
    """Return a digest of the Python files in the folder: a certificate is for one version of a service."""
    files = sorted(path for path in folder.rglob("*.py") if path.is_file())
    return digest(*(f"{path.relative_to(folder)}\0{path.read_text('utf-8', 'replace')}" for path in files))


def read(settings: Settings) -> list[Line]:
    """All figures that were kept; a line that cannot be read is left out."""
    path = settings.home / FIGURES
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            lines.append(Line(**json.loads(text)))
        except (ValueError, TypeError):
            continue
    return lines


def page(lines: Sequence[Line], code: str) -> str:
    """The certificate of the service with this code, as HTML that stands alone."""
    own = [line for line in lines if line.code == code]
    rows = []
    for level, chosen in plans.LEVELS.items():
        some = [line for line in own if line.level == level]
        passed = [line for line in some if line.passed]
        failed = ", ".join(f"seed {line.seed}" for line in some if not line.passed)
        kept = "held" if some and len(passed) == len(some) else f"failed: {failed}" if some else "not tried"
        events, acts = sum(line.events for line in passed), sum(len(line.acts) for line in passed)
        cells = (level, chosen.words, kept, f"{len(passed)} of {len(some)}", f"{events:,}", f"{acts:,}")
        rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    held = [level for level in plans.LEVELS if (some := [each for each in own if each.level == level]) and
            all(each.passed for each in some)]  # fmt: skip
    title = f"Held: {held[-1]}" if held else "Nothing held yet"
    last = max((line.when for line in own), default="")
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Certificate: {title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 3em auto; padding: 0 1em }}
table {{ border-collapse: collapse }} td, th {{ border-bottom: 1px solid; padding: 0.4em 0.8em; text-align: left }}
</style>
<h1>{title}</h1>
<p>The service with the code <code>{code}</code> was tortured on a real Apache Kafka with real flights. In each story
that it held, nothing was lost, counted twice, out of order, late, waiting or wrong, compared with the data itself.</p>
<table><tr><th>level</th><th>what happens</th><th>result</th><th>stories held</th><th>events in them</th>
<th>kills and other acts</th></tr>
{"".join(rows)}</table>
<p>Last story: {last}. Again: <code>python3 lab.py capstone torture --level bronze --seed 1</code></p>
</html>
"""
