"""The mornings of lesson 16: each mistake leaves its own evidence, the same each time; and what a diagnosis may say."""

import importlib
import sqlite3
from collections import Counter
from contextlib import closing
from itertools import islice, pairwise

import click
import pytest

from labsupport import lesson
from labsupport.commands.main import lab as command_line
from labsupport.course.lab import Lab
from labsupport.course.outcomes import TryAgain
from labsupport.delivery import orders, reading
from labsupport.errors import LabError
from labsupport.experiments.breaking import mornings
from labsupport.experiments.breaking.morning_services import EARLY, METHODS, SINCE, traffic
from labsupport.experiments.breaking.mornings import MAILS, PAYMENTS, SERVICES
from labsupport.experiments.watching import balance, log
from labsupport.history import redrive

form = importlib.import_module("labsupport.course.exercises.16-2.form")
repairs = importlib.import_module("labsupport.course.exercises.16-2.repairs")
SEED = 149


@pytest.fixture(scope="module")
def opened(own_home):
    """A lesson that has no notebook."""
    return lesson("98")


@pytest.fixture(scope="module")
def week(opened):
    """Every morning of a week, by its cause."""
    return {cause: opened.morning(day, SEED) for day, cause in mornings.causes_of(SEED).items()}


def sheet(lab: Lab, morning, service: str) -> balance.Sheet:
    """As `lab.balance` shows it."""
    group, database = morning.groups[service], morning.databases[service]
    return lab.balance(morning.topic, group, database, dead_letters=morning.dead_letters)


def evidence(lab: Lab, morning) -> tuple[bool, ...]:
    """What a learner can see with the lab's commands, as answers to some questions."""
    sheets = {service: sheet(lab, morning, service) for service in SERVICES}
    held = lab.log(morning.topic)
    lost = [each for each in held.records if reading.id_of(each) in sheets[PAYMENTS].ids("lost")]
    neighbours = all(after.offset == before.offset + 1 for before, after in pairwise(lost))
    counted, effects = morning.metrics[PAYMENTS]["handled"], orders.effects(morning.databases[PAYMENTS]).total()
    wide = [each for each in held.records if {name for name, _ in each.headers} & {"redrive_origin"}]
    wide = [each for each in wide if "redrive_group" not in dict(each.headers)]
    return (
        bool(lost) and neighbours,
        bool(lost) and not neighbours,
        sheets[MAILS].count("waiting") > 0,
        sheets[MAILS].count("twice") > 0,
        bool(morning.metrics[MAILS]["refused"]),
        counted > effects,
        counted < effects,
        bool(wide),
        bool(((held.keys > 0).sum(axis=1) > 1).any()),
        contradicts(morning),
    )


def contradicts(morning) -> bool:
    """Whether an order's amount in the database of payments differs from what the customer paid."""
    with closing(sqlite3.connect(morning.databases[PAYMENTS])) as database:
        question = "SELECT count(*) FROM orders JOIN effects ON key = order_id WHERE orders.amount != effects.amount"
        ((count,),) = database.execute(question)
    return count > 0


def test_each_mistake_leaves_evidence_of_its_own(opened, week):
    """For any two of them, one of these questions has another answer."""
    seen = {cause: evidence(opened, morning) for cause, morning in week.items()}
    assert set(seen) == set(mornings.CAUSES)
    assert len(set(seen.values())) == len(seen), seen


def test_what_was_hit(opened, week):
    """The kind of damage to each service, by mistake; every list names some events, and never all of them."""
    found = {cause: [mornings.damage(opened, each, service) for service in SERVICES] for cause, each in week.items()}
    assert {cause: [each.kind for each in both] for cause, both in found.items()} == {
        "committed-first": ["lost", "nothing"],
        "swallowed": ["lost", "nothing"],
        "shared-group": ["lost", "waiting"],
        "producer-rule": ["wrong", "nothing"],
        "no-key": ["wrong", "nothing"],
        "thrown-out": ["nothing", "twice"],
        "wide-redrive": ["dead-lettered", "twice"],
    }
    assert all(bool(each.what) == (each.kind != "nothing") for both in found.values() for each in both)
    assert max(len(each.what) for both in found.values() for each in both) < 24


def test_no_dead_letter_is_open_but_those_of_the_redrive(opened, week):
    """Each morning has one that was sent back to its group, so that dead letters alone say nothing."""
    for cause, morning in week.items():
        found = redrive.letters(opened.consumer(name="letters"), redrive.selection(morning.dead_letters)).found
        assert [each.sent for each in found if "bank" in each.letter.message] == [True]
        assert (len(found) == 1) == (cause != "wide-redrive")


@pytest.mark.parametrize("cause", ["thrown-out", "committed-first"])
def test_the_same_seed_makes_the_same_morning(opened, week, cause):
    """Also where a member is thrown out or killed: the judge makes it again, and compares."""
    day = next(day for day, each in mornings.causes_of(SEED).items() if each == cause)
    again = opened.morning(day, SEED, "again-")
    for service in SERVICES:
        assert mornings.damage(opened, again, service) == mornings.damage(opened, week[cause], service)
    assert again.metrics.equals(week[cause].metrics)
    records = [[(each.partition, each.offset, each.value) for each in log.read(opened, topic).records]
               for topic in (again.topic, week[cause].topic)]  # fmt: skip
    assert records[0] == records[1]


def test_every_week_has_every_mistake_and_events_for_it():
    """On another day with another seed, and in other events; with some that look like those that are hit."""
    assert len({tuple(mornings.causes_of(seed).items()) for seed in range(20)}) > 15
    for seed in range(20):
        assert sorted(mornings.causes_of(seed).values()) == sorted(mornings.CAUSES)
        found = traffic(f"{seed}/monday")
        late = [each.event.payload["quantity"] > 1 for each in found if each.created and each.release == SINCE]
        assert True in late
        assert False in late
        paid = Counter(each.event.payload["method"] for each in found if not each.created)
        assert min(paid[method] for method in METHODS) >= 4
    assert traffic("1/monday") == traffic("1/monday") != traffic("2/monday")


def test_without_keys_a_payment_overtakes_its_order_in_every_week():
    """Else nothing would be wrong on that morning."""
    for seed in range(150):
        day = next(day for day, cause in mornings.causes_of(seed).items() if cause == "no-key")
        late = traffic(f"{seed}/{day}")[EARLY:]
        for order in ([0, 1], [1, 0]):
            found = (mornings.overtaken(sent, order) for sent in mornings.in_turns(late, f"{seed}/{day}"))
            assert any(islice(found, 50)), seed


@pytest.mark.parametrize(("day", "seed"), [("Monday", 1), ("someday", 1), ("monday", "1"), ("monday", True)])
def test_a_morning_that_does_not_exist_is_refused(opened, day, seed):
    """With a sentence, before anything is made."""
    with pytest.raises(LabError, match=r"There is no morning|The seed is"):
        opened.morning(day, seed)


# What a diagnosis may say


def diagnosis(*lines: str) -> str:
    """A file with these lines for Monday."""
    return "\n".join(["seed: 149", "## monday", *lines])


COMPLETE = ("cause: no-key", "payments: wrong ORD-1", "mails: nothing", "repair: none")


@pytest.mark.parametrize(
    ("words", "events"),
    [
        ("lost 0/7", ["0/7"]),
        ("lost: 0/7-9, 1/2", ["0/7", "0/8", "0/9", "1/2"]),
        ("**lost** `0/7`–`0/8` and 1/2", ["0/7", "0/8", "1/2"]),
        ("Lost 16-monday-orders/0/7, 16-monday-orders/0/9", ["0/7", "0/9"]),
        ("lost 0/7 to 0/8", ["0/7", "0/8"]),
        ("lost 0/7 - 0/8.", ["0/7", "0/8"]),
        ("lost – 0/7 and 0/9", ["0/7", "0/9"]),
        ("lost (0/7, 0/9)", ["0/7", "0/9"]),
        ("lost ['16-monday-orders/0/7-16-monday-orders/0/8', '0/9']", ["0/7", "0/8", "0/9"]),
        ("lost 021bb7eb... 0cf4e485...", ["021bb7eb", "0cf4e485"]),
        ("lost 021bb7eb-8dc5-5c27-ac85-207cf2e9bf3c 0cf4e485…", ["021bb7eb-8dc5-5c27-ac85-207cf2e9bf3c", "0cf4e485"]),
    ],
)
def test_events_are_named_in_many_ways(words, events):
    """Places, ranges, ids, as people write them."""
    _, (finding,) = form.parse(diagnosis(COMPLETE[0], f"* payments: {words}", *COMPLETE[2:]))
    assert finding.claims[PAYMENTS].kind == "lost"
    assert finding.claims[PAYMENTS].events == events


def test_markdown_is_forgiven():
    """Bold names, bullets, fences, comments, quotes, other headings, empty sections, events in a list."""
    text = """# My diagnosis
**Seed:** 149
<!-- cause: killed
-->
#### On Monday, 16 April
> payments: a note
1. **Cause:** No key
- **Payments**: wrong
  - ORD-1
  - ord-2
- _mails_ was fine
"""
    with pytest.raises(TryAgain) as refused:
        form.parse(text)  # a sentence is not an event
    assert refused.value.fields["says"] == "Line 11: '_mails_' names no event."
    text = text.replace(
        "- _mails_ was fine",
        "- mails: nothing\n- repair:\n```bash\n$ python3 lab.py replay x\n```\n## tuesday\n- cause:",
    )
    seed, (finding,) = form.parse(text)
    assert (seed, finding.day, finding.cause) == (149, "monday", "no-key")
    assert finding.claims[PAYMENTS].events == ["ORD-1", "ORD-2"]
    assert [(each.number, each.text) for each in finding.repair] == [(14, "$ python3 lab.py replay x")]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ("cause: lost", "Line 3: 'lost' is none of the causes."),
        ("cause:", "Line 3: monday has no cause yet."),
        ("payments:", "Line 4: monday has no payments yet."),
        ("payments: gone 0/7", "Line 4: 'gone' is not what can become of events."),
        ("payments: lost", "Line 4: which events were lost?"),
        ("payments: lost 7", "Line 4: '7' names no event."),
        ("payments: lost 0/" + 5000 * "9", f"Line 4: '0/{38 * '9'}' names no event."),
        ("payments: lost 16-monday-orders-dlt/0/7", "Line 4: 16-monday-orders-dlt is not monday's topic of orders."),
        ("payments: lost 16-tuesday-orders/0/7", "Line 4: 16-tuesday-orders is not monday's topic of orders."),
        ("payments: lost 0/9-7", "Line 4: 0/9-7 is no range."),
        ("payments: lost 0/0-999999999", "Line 4: 0/0-999999999 is no range."),
        ("payments: nothing 0/7", "Line 4: if nothing happened, there are no events to name."),
        ("why: who knows", "Line 7: there is no field 'why'."),
        ("mails: nothing\nmails: nothing", "Line 6: monday has a mails already."),
        ("seed: 7", "Line 7: there is a seed already."),
        ("## notes\ncause: rain", "Line 8: this stands below no morning."),
        ("seed: one", "Line 7: the seed is a whole number."),
        ("## monday", "Line 7: monday has a section already."),
        ("repair: none\n- python3 lab.py replay reset", "Line 7: a repair is none, or commands."),
    ],
)
def test_what_says_nothing_is_refused_with_its_line(changed, says):
    """And nothing else."""
    field = changed.partition(":")[0]
    lines = [changed if each.startswith(f"{field}:") else each for each in COMPLETE]
    with pytest.raises(TryAgain) as refused:
        form.parse(diagnosis(*lines, *([changed] if changed not in lines else [])))
    assert refused.value.fields["says"] == says


SAID = """seed: 149
## monday
cause: no-key
payments: wrong ORD-1
mails: nothing
repair:
replay reset one
replay reset two
"""
TABLE = """| Seed | 149 |
|:---|---|
### Monday
| field | value |
| --- | --- |
| **cause** | `no-key` |
| payments | wrong ORD-1 |
| Mails: | nothing. |
| repair | replay reset one |
| | replay reset two |
"""
HEADINGS = """# Seed: 149
Monday
------
What I saw, at first sight.
### Evidence: rows
none
### Cause
no‑key
### payments: wrong ORD-1
### Mails:
*nothing*
### Repair
```
# first monday's payments
replay reset one
# then the others
replay reset two
```
***
"""
ALIKE = {
    "windows": "\ufeff" + SAID.replace("\n", "  \r\n"),
    "emphasis": SAID.replace("cause", "*cause*").replace("payments", "__payments__").replace("mails", "_mails_"),
    "boxes": SAID.replace("cause", "- [x] cause").replace("nothing", "nothing\n* * *"),
    "in a fence": f"```markdown\n{SAID}```\n",
    "long commands": SAID.replace("reset one", "reset \\\n  one"),
    "table": TABLE,
    "headings": HEADINGS,
}


@pytest.mark.parametrize("text", ALIKE.values(), ids=ALIKE)
def test_other_markdown_says_the_same(text):
    """Tables, headings for fields, boxes, comments among commands, a file from Windows."""
    seed, (finding,) = form.parse(text)
    claims = {service: (each.kind, each.events) for service, each in finding.claims.items()}
    assert (seed, finding.day, finding.cause) == (149, "monday", "no-key")
    assert claims == {PAYMENTS: ("wrong", ["ORD-1"]), MAILS: ("nothing", [])}
    assert [each.text for each in finding.repair] == ["replay reset one", "replay reset two"]


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "python3 lab.py ",
        "! python lab.py ",
        "$ .venv/bin/python -m labsupport ",
        "lab.py ",
        "!{command} ",
        '"/my lab/.venv/bin/python3.12" -m labsupport ',
        "py -3 lab.py ",
    ],
)
def test_a_command_is_understood_however_it_was_typed(prompt):
    """Its prompt and its --yes make no difference."""
    words = "replay reset 16-monday-payments 16-monday-orders --offset 9 --partition=0 --yes"
    _, (finding,) = form.parse(diagnosis(*COMPLETE[:3], f"repair: `{prompt}{words}`"))
    ((_, typed),) = repairs.commands(finding, "16-monday-")
    assert typed == ("replay", "reset", "16-monday-payments", "16-monday-orders", "--offset=9", "--partition=0")


@pytest.mark.parametrize(
    "command",
    [
        "replay reset 16-monday-payments 16-monday-orders --to latest | tee file",
        "replay reset 16-monday-payments 16-tuesday-orders --to latest",
        "replay reset 16-monday-payments --to latest",
        "replay send 16-monday-orders 16-monday-orders-dlt",
        "replay handle 16-monday-orders work/mails.py:handle",
        "replay rebuild 16-monday-orders --group 16-monday-mails --into /tmp/file",
        "dead-letters redrive orders-dlt",
        "dead-letters redrive $(whoami)",
        "wipe",
        "rm -rf work",
        "replay reset 16-monday-payments 16-monday-orders --to latest; rm -rf work",
        "replay reset 16-monday-payments 16-monday-orders --to latest && lab.py wipe",
        "replay reset 16-monday-payments ../16-monday-orders --to latest",
        "replay reset 16-monday-payments 16-monday-orders --to 'late\0st'",
        f"replay reset 16-monday-payments 16-monday-orders --to {200_000 * 'x'}",
        "replay reset 16-monday-payments 16-monday-orders --time 2026-04-16T10:30:00Z",
        "replay send 16-monday-orders 16-monday-orders --before=2026-04-16T10:30:00Z",
        "dead-letters redrive 16-monday-orders-dlt --only-its-group=yes",
        "'",
        "",
    ],
)
def test_nothing_else_is_run(command):
    """Only three commands, and only on this morning's topics and groups; each refusal names the line."""
    finding = form.Finding("monday", form.Line(1, ""), repair=[form.Line(9, command)])
    with pytest.raises(TryAgain) as refused:
        repairs.commands(finding, "16-monday-")
    assert refused.value.fields["says"].startswith("Line 9: ")


@pytest.mark.parametrize("name", repairs.COMMANDS)
def test_the_options_of_a_repair_are_those_of_the_command(name):
    """None is missing, none is made up; --dry-run is refused, and --yes always given."""
    group, own = name.split()
    command = command_line.get_command(click.Context(command_line), group).commands[own]
    options = {each.opts[0] for each in command.params if isinstance(each, click.Option)}
    assert {*repairs.COMMANDS[name].options, *repairs.COMMANDS[name].flags, "--yes", "--dry-run"} == options
    assert len(repairs.COMMANDS[name].arguments) == sum(isinstance(each, click.Argument) for each in command.params)
