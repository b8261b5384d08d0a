"""The form of `diagnosis.md`: forgiving about Markdown, strict about what it says. Pure."""

import difflib
import re
from dataclasses import dataclass, field

from labsupport.course.outcomes import TryAgain
from labsupport.experiments.breaking.mornings import DAYS, DEAD_LETTERED, KINDS, NOTHING, SERVICES, TWICE

# Every mistake that a diagnosis may name, and what each one leaves behind.
LEAVES = {
    "committed-first": "lost events that are neighbours in one partition, whatever they say; and a new process, whose "
    "metrics begin at 0",
    "swallowed": "lost events that the service has counted as handled",
    "shared-group": "each service has handled one partition only, since that moment",
    "producer-rule": "wrong values in the events themselves: two fields contradict each other",
    "no-key": "one key in several partitions",
    "thrown-out": "neighbours that were handled twice, and a refused commit",
    "wide-redrive": "copies in the topic that have the header redrive_origin, and no redrive_group",
    "killed": "neighbours that were handled twice, a new process, whose metrics begin at 0, and no refused commit",
    "sent-twice": "two records with one event_id, neither of which has a mark of redrive or replay",
    "retention": "a log that begins after the offset that a group has committed",
    "stuck": "a lag in one partition that does not fall, and everything behind one event waits",
}
SAME = {"doubled": TWICE, "double": TWICE, "none": NOTHING, "ok": NOTHING, "–": NOTHING, "-": NOTHING}
SAME |= {"dead-letter": DEAD_LETTERED, "dead-letters": DEAD_LETTERED}
FIELDS = ("cause", *SERVICES, "repair")
MOST = 1_000  # offsets in a range
FIELD = re.compile(r"(\w+)\s*[:=]\s*(.*)")


@dataclass(frozen=True)
class Line:
    """A line of the file: its number, counted from 1, and its text without Markdown."""

    number: int
    text: str

    def wrong(self, says: str, look_at: str) -> TryAgain:
        """What is wrong with this line."""
        return TryAgain(says=f"Line {self.number}: {says}", given=self.text, look_at=look_at)


@dataclass
class Claim:
    """What the file says about one service: a kind of damage, and the events, each as it is written."""

    line: Line
    kind: str = NOTHING
    events: list[str] = field(default_factory=list)


@dataclass
class Finding:
    """What the file says about one morning. `cause` and `claims` are missing while their lines are empty."""

    day: str
    line: Line
    level: int = 2  # of its heading
    cause: str = ""
    claims: dict[str, Claim] = field(default_factory=dict)  # by service
    repair: list[Line] = field(default_factory=list)  # commands
    said: dict[str, Line] = field(default_factory=dict)  # by field, also if it is empty
    none: bool = False  # the repair is "none"

    @property
    def empty(self) -> bool:
        """Whether nothing is filled in."""
        return not (self.cause or self.claims or self.repair or self.none)


def parse(text: str) -> tuple[int, list[Finding]]:
    """The seed, and the mornings that are filled in. Raises TryAgain, which names the line that says nothing."""
    seeds: dict[int, Line] = {}
    findings: dict[str, Finding] = {}
    at: Finding | None = None
    name = ""
    for line in _lines(text):
        level, said = _heading(line.text)
        if level and _day(said):
            at, name = _section(said, level, line, findings), ""
        elif field := _said(said, level):
            name, value = field
            if name == "seed":
                seeds[_seed(value, line)] = line
            elif at is not None:
                _field(at, name, value, line)
            elif name in FIELDS:
                raise line.wrong("this stands below no morning.", "above it comes a heading such as ## monday")
        elif level:
            at, name = at if at and level > at.level else None, ""
        elif at is not None and name:
            _fill(at, name, line)
    if len(seeds) > 1:
        raise [*seeds.values()][1].wrong("there is a seed already.", "all mornings of a file are of one week")
    seed = next(iter(seeds), None)
    if seed is None:
        raise TryAgain(says="The file names no seed.", look_at="a line such as seed: 16 stands above the first morning")
    filled = [each for each in findings.values() if not each.empty]
    for each in filled:
        _require_whole(each)
    return seed, filled


def _lines(text: str) -> list[Line]:
    """The lines that say something; comments, quotes and fences are notes."""
    text = re.sub(r"<!--.*?-->", lambda comment: "\n" * comment[0].count("\n"), text, flags=re.DOTALL)
    lines: list[Line] = []
    fenced = commands = False
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
            commands = fenced and any(_day(each.text) and _heading(each.text)[0] for each in lines)
        elif re.fullmatch(r"[-*_=\s]*", line) or line.lstrip().startswith((">", "---")):
            continue  # a note, a rule, nothing
        elif not (commands and line.lstrip().startswith("#")):  # a comment among commands
            lines.append(Line(number, _plain(line)))
    return [line for line in lines if line.text and not line.text.startswith(">")]


def _plain(line: str) -> str:
    line = re.sub(r"[`\u200b\ufeff]|\*\*", "", line.replace("\u00a0", " "))
    line = re.sub(r"^\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?", "", line)
    line = re.sub(r"^\*(\w[\w ]*:?)\*", r"\1", line)
    return _row(line) if line.lstrip().startswith("|") else line.strip()


def _row(line: str) -> str:
    """The row of a table as a field and its value; nothing for the rule below its head."""
    first, *more = [cell.strip() for cell in line.strip().strip("|").split("|")]
    if re.fullmatch(r"[-: ]*", "".join((first, *more))):
        return ""
    name = first.strip("*_: ").lower()
    return f"{name}: {' '.join(more)}" if name in (*FIELDS, "seed") else " ".join((first, *more)).strip()


def _heading(text: str) -> tuple[int, str]:
    """The level of a heading (0: it is none) and what it says; the name of a day alone is one, too."""
    marks, said = re.fullmatch(r"(#*)\s*(.*?)\s*#*", text, re.DOTALL).groups()  # type: ignore[union-attr]
    return (2 if text.lower().rstrip(": ") in DAYS else len(marks)), said


def _said(text: str, level: int) -> tuple[str, str] | None:
    """The field that a line or a heading begins, and what stands behind it; headings also say other things."""
    found = FIELD.match(text)
    name, value = (found[1].strip("_").lower(), found[2]) if found else (text.lower(), "")
    return (name, value) if (name in (*FIELDS, "seed") if level else found) else None


def _day(heading: str) -> str:
    """The day that a heading names first."""
    found = re.search("|".join(DAYS), heading.lower())
    return found[0] if found else ""


def _section(heading: str, level: int, line: Line, findings: dict[str, Finding]) -> Finding:
    day = _day(heading)
    if day in findings:
        raise line.wrong(f"{day} has a section already.", f"that is in line {findings[day].line.number}")
    findings[day] = Finding(day, line, level)
    return findings[day]


def _seed(value: str, line: Line) -> int:
    if not re.fullmatch(r"-?\d{1,99}", value):
        raise line.wrong("the seed is a whole number.", "give the one with which you made the mornings, such as 16")
    return int(value)


def _field(at: Finding, name: str, value: str, line: Line) -> None:
    if name not in FIELDS:
        raise line.wrong(f"there is no field {name!r}.", f"the fields are {', '.join(FIELDS)}; a note begins with >")
    if name in at.said:
        raise line.wrong(f"{at.day} has a {name} already.", f"that is in line {at.said[name].number}")
    at.said[name] = line
    if value:
        _fill(at, name, Line(line.number, value))


def _fill(at: Finding, name: str, line: Line) -> None:
    if name == "cause":
        if at.cause:
            raise line.wrong(f"{at.day} has a cause already.", "give the one word that fits; a note begins with >")
        at.cause = _cause(line)
    elif name == "repair":
        if line.text.lower().rstrip(".") in ("none", "nothing"):
            at.none = True
        elif at.repair and (at.repair[-1].text.endswith("\\") or line.text.startswith("--")):  # a long command
            first = at.repair[-1]
            at.repair[-1] = Line(first.number, f"{first.text.removesuffix(chr(92)).rstrip()} {line.text}")
        else:
            at.repair.append(line)
    elif name in at.claims:
        at.claims[name].events += _events(line.text, line, at.day)
    else:
        at.claims[name] = _claim(line, at.day)


def _cause(line: Line) -> str:
    word = re.sub(r"[\s_\u2010-\u2015]+", "-", line.text.lower().strip(" ."))
    if word not in LEAVES:
        close = difflib.get_close_matches(word, LEAVES, n=1)
        look_at = f"did you mean {close[0]}?" if close else f"give one of {', '.join(LEAVES)}"
        raise line.wrong(f"{line.text[:40]!r} is none of the causes.", look_at)
    return word


def _claim(line: Line, day: str) -> Claim:
    text = re.sub(r"(?i)^dead[ _\u2010-\u2015-]?letter(ed|s)?\b", DEAD_LETTERED, line.text)
    word, _, rest = re.sub(r"[:,;(=]", " ", text, count=1).partition(" ")
    word = word.rstrip(".")
    kind = SAME.get(word.lower(), word.lower())
    if kind not in KINDS:
        raise line.wrong(
            f"{word!r} is not what can become of events.", f"give one of {', '.join(KINDS)}, then the events"
        )
    claim = Claim(line, kind, _events(re.sub(r"^[\s\u2010-\u2015-]+", "", rest), line, day))
    if claim.events and kind == NOTHING:
        raise line.wrong("if nothing happened, there are no events to name.", "leave out the events, or the word")
    return claim


def _events(text: str, line: Line, day: str) -> list[str]:
    """Each event as partition/offset, id, or order; ranges are written out."""
    events: list[str] = []
    text = re.sub(r"(?i)\b([0-9a-f]{8}[0-9a-f-]*)\.\.\.", r"\1… ", text)
    text = re.sub(r"\s*(?:[\u2010-\u2015]|\s-\s|\.\.+|\bto\b)\s*", "-", text)
    for word in re.split(r"[\s,;()\[\]{}'\"]+", re.sub(r"(?i)\band\b|\.(?=\s|$)", " ", text)):
        spot = re.fullmatch(r"(?:([\w.-]+)/)?(\d{1,9})/(\d{1,9})(?:-(?:(?:([\w.-]+)/)?(\d{1,9})/)?(\d{1,9}))?", word)
        if spot:
            for topic in filter(None, spot.group(1, 4)):
                _require_orders(topic, day, line)
            events += _range(spot, line)
        elif re.fullmatch(r"[0-9a-f]{8}[0-9a-f-]*…?", word.lower()):
            events.append(word.lower().rstrip("…"))
        elif re.fullmatch(r"ORD-\d+", word.upper()):
            events.append(word.upper())
        elif word:
            raise line.wrong(
                f"{word[:40]!r} names no event.",
                "name partition/offset, such as 0/7, a range such as 0/7-9, the event's id, or an order that is wrong",
            )
    return events


def _require_orders(topic: str, day: str, line: Line) -> None:
    if not topic.endswith(f"{day}-orders"):
        raise line.wrong(
            f"{topic} is not {day}'s topic of orders.",
            "name the event that lies in a dead letter: the column `of` has it"
            if topic.endswith("-dlt")
            else "name the events by their places in the topic of that morning",
        )


def _range(spot: re.Match, line: Line) -> list[str]:
    partition, first, other, last = spot.group(2, 3, 5, 6)
    if last is None:
        return [f"{int(partition)}/{int(first)}"]
    if (other or partition) != partition or not 0 <= int(last) - int(first) < MOST:
        raise line.wrong(
            f"{spot[0]} is no range.", "a range lies in one partition, from the lower offset to the higher"
        )
    return [f"{int(partition)}/{offset}" for offset in range(int(first), int(last) + 1)]


def _require_whole(finding: Finding) -> None:
    for name in FIELDS:
        filled = {"cause": finding.cause, "repair": finding.repair or finding.none}.get(name, name in finding.claims)
        if not filled:
            line = finding.said.get(name, finding.line)
            look_at = f"if there is none, write {name}: {NOTHING if name != 'repair' else 'none'}"
            raise line.wrong(
                f"{finding.day} has no {name} yet.", look_at if name != "cause" else "one word of the list"
            )
    if finding.none and finding.repair:
        raise finding.repair[0].wrong("a repair is none, or commands.", "remove one of the two")
    for service in SERVICES:
        claim = finding.claims[service]
        if claim.kind != NOTHING and not claim.events:
            raise claim.line.wrong(f"which events were {claim.kind}?", "name them behind the word, such as 0/7-9")
