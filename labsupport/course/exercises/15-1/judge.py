"""15-1: each interaction is run both ways while its other side is dead, and must then hold what the task says of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.shop import story
from labsupport.shop.event import Event

ASK, TELL = "ask", "tell"
TIMES = 3  # that each interaction happens, each way


@dataclass(frozen=True)
class Interaction:
    """What must hold while the other side is dead, and what does not hold if it is done the `wrong` way."""

    needs: str
    wrong: str
    broken: str

    @property
    def right(self) -> str:
        """The other way."""
        return ASK if self.wrong == TELL else TELL


@dataclass(frozen=True)
class Facts:
    """Of TIMES times while the other side was dead: how often it answered, the shop went on, and it was done later."""

    answered: int
    went_on: int
    done: int

    def __str__(self) -> str:
        return (
            f"{TIMES} times while the other side was dead, and the broker up: {self.answered} answers, the shop went "
            f"on {self.went_on} times, and {self.done} were done when the other side was back"
        )


# fmt: off
INTERACTIONS: Mapping[str, Interaction] = {
    "card": Interaction("no order without the bank's word", TELL,
                        "{0.went_on} orders were accepted without the bank's word"),
    "mail": Interaction("orders are accepted, and each gets its mail later", ASK,
                        "{0.done} of {1} customers got a mail"),
    "stock": Interaction("the page shows the current number, or at once that nobody knows", TELL,
                         "{0.went_on} pages wait for a number that comes when the customer has left"),
    "price": Interaction("the price changes, and all use each change", ASK,
                         "{0.done} of {1} price changes reached the partner"),
    "name": Interaction("nobody gets a name that somebody else has", TELL,
                        "{0.went_on} names were given away, and nobody had looked whether they were free"),
    "report": Interaction("orders are accepted, and the report counts them all", ASK,
                          "{0.done} of {1} orders are in the report"),
    "cancel": Interaction("the customer learns what is known now", TELL,
                          "{0.went_on} customers were told that it is done, and nobody knew"),
    "fraud": Interaction("a service of next year gets this year's orders", ASK,
                         "{0.done} of {1} orders reached the service that came later"),
}
LOOK_AT = {
    TELL: "an acknowledgement says that the event is stored. Who needs to know more before they go on?",
    ASK: "who remembers what could not be asked while the other side was dead?",
}
# fmt: on


def _judge(answer: Submission, lab: Lab) -> str:
    ways = {name: answer(name, returns=str, asks='"ask" or "tell"') for name in INTERACTIONS}
    for name, way in ways.items():
        if way not in (ASK, TELL):
            raise TryAgain(
                says="That is neither of the two ways.",
                given=answer.called(name),
                came_back=shown(way),
                look_at='the function returns "ask" or "tell", in small letters',
            )
    facts = _run_all(lab)
    for name, interaction in INTERACTIONS.items():
        mine, other = facts[name, ways[name]], facts[name, interaction.right]
        if not _holds(interaction, mine):
            raise TryAgain(
                says=f"{interaction.broken.format(mine, TIMES)}.",
                given=answer.called(name),
                came_back=f"{ways[name]!r}\n{mine}",
                rule=f"what must hold: {interaction.needs}",
                look_at=f"{LOOK_AT[ways[name]]} The other way: {other}",
            )
    return (
        f"{len(ways)} interactions were run both ways, {TIMES} times each, while the other side was dead and the "
        "broker up; yours hold."
    )


def _holds(interaction: Interaction, facts: Facts) -> bool:
    """Whether the shop went on only with an answer, or else whether it went on and everything was done later."""
    if interaction.right == ASK:
        return facts.went_on == facts.answered
    return facts.went_on == facts.done == TIMES


def _run_all(lab: Lab) -> dict[tuple[str, str], Facts]:
    """Do each interaction both ways while the other side is killed; then start it, and look what it has done."""
    import httpx  # here: other lessons do without it

    from labsupport.experiments.breaking.service_process import dead

    events = iter(story.orders(2 * TIMES * len(INTERACTIONS)))
    runs: dict[tuple[str, str], list[Event]] = {}
    answered: dict[tuple[str, str], int] = {}
    topic = lab.topic(CHECKED)
    producer = lab.producer(name="check")
    with httpx.Client() as client, lab.asked_and_told(topic, CHECKED) as (asked, told):
        http, reader = asked[CHECKED], told[CHECKED]
        with dead(http, reader):
            for name in INTERACTIONS:
                for way in (ASK, TELL):
                    runs[name, way] = [next(events) for _ in range(TIMES)]
                answered[name, ASK] = sum(http.ask(client, event) for event in runs[name, ASK])
                for event in runs[name, TELL]:
                    producer.send(topic, event.encode()).get(timeout=60)
                answered[name, TELL] = 0  # an event has no answer
        reader.sheet()  # waits until all is read
        done = http.rows + reader.rows
    for file in http.database.parent.glob(f"*{CHECKED}*"):
        file.unlink()
    facts = {}
    for (name, way), mine in runs.items():
        replies = answered[name, way]
        went_on = TIMES if way == TELL else replies  # who asks waits for the answer; who tells, for the acknowledgement
        facts[name, way] = Facts(replies, went_on, sum(done[event.event_id] == 1 for event in mine))
    return facts


EXERCISE = Exercise(
    id="15-1",
    title="Ask or tell?",
    difficulty="medium",
    minutes=7,
    call="way(interaction)",
    hints=(
        "While the other side is dead: who must not go on, and who must?",
        "Where somebody has to decide now, and only the other side knows, ask. Where something has to happen, but not "
        "now, tell: the topic remembers it.",
        'Four of them are "ask": there the shop, or its customer, needs the other side\'s word now. A price list that '
        "is asked for every minute misses a change that is taken back before the next minute.",
    ),
    explanation="A request fails at once, and that is an answer too: no order, no name, no number. What has to happen "
    "in any case needs somebody who remembers it while the other side is dead, or not yet built: the topic.",
    judge=_judge,
    seconds=1.5,
    points_at=("ep-2", "ep-3"),
)
