"""10-1: the function picks exactly the dead letters that the fixed service can process."""

import random
from collections import Counter
from collections.abc import Collection, Sequence

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.delivery import dead_letter, retry
from labsupport.delivery.dead_letter import DeadLetter
from labsupport.errors import EventError
from labsupport.experiments.breaking import incident
from labsupport.experiments.watching import log
from labsupport.history import redrive


def _chosen(answer: Submission, lab: Lab) -> str:
    """Dead letters of another morning, alone and together; then redrive the chosen ones to the fixed service."""
    topic = lab.topic(CHECKED)
    dead = lab.dead_letters(topic)
    incident.cause(lab, topic, [*incident.morning(2), *incident.edge_cases()])
    letters = [found.letter for found in redrive.letters(lab.consumer(name="redrive"), redrive.selection(dead)).found]
    alone = sorted(letters, key=lambda letter: (_refusal(letter) != "", len(letter.headers), letter.offset))
    chance = random.Random(2)
    mixed = [chance.sample(letters, size) for size in (0, 2, 3, 4, 5, 6)]
    for given in [*([letter] for letter in alone), *mixed, letters]:
        places = _places(answer, given)
    before = len(letters)
    chosen = redrive.selection(dead, where=lambda record: dead_letter.unwrap(record).coordinates in places)
    account = redrive.redrive(lab.consumer(name="redrive"), lab.producer(name="check"), chosen)
    incident.run_payments(lab, topic, incident.decode_repaired)
    if again := len(log.read(lab, dead).records) - before:
        raise AssertionError(f"{again} of {account.done} came back")
    return (
        f"{account.done} of {before} were sent back: the fixed service processed them all, and would refuse the others."
    )


def _places(answer: Submission, given: Sequence[DeadLetter]) -> set[str]:
    came_back = answer(list(given), returns=Collection, asks="a list of dead letters, some of those that are given")
    if strange := [each for each in came_back if each not in given]:
        raise TryAgain(
            says="Your function returned something that is not one of the given dead letters.",
            given=f"{len(given)} dead letter{'s' * (len(given) != 1)}",
            came_back=shown(strange[0]),
            look_at="return the dead letters themselves, in a list that is new in each call",
        )
    places = {each.coordinates for each in came_back}
    if len(places) < len(came_back):
        often, count = Counter(each.coordinates for each in came_back).most_common(1)[0]
        raise TryAgain(
            says=f"Your function returns one dead letter {count} times.",
            given=f"{len(given)} dead letter{'s' * (len(given) != 1)}",
            came_back=f"{count} times {often}",
            rule="a dead letter that is sent back twice is processed twice unless the service remembers it",
            look_at="which loop adds it?",
        )
    for letter in given:
        refusal = _refusal(letter)
        if refusal and letter.coordinates in places:
            raise TryAgain(
                says="One that you send back would become a dead letter again.",
                given=_described(letter),
                came_back="your function returns it",
                rule=f"the fixed service refuses it: {refusal}",
                look_at="how does this one differ from those that the fixed service can process?",
            )
        if not refusal and letter.coordinates not in places:
            raise TryAgain(
                says="One that you leave out can be processed now.",
                given=_described(letter),
                came_back="your function does not return it",
                rule="a record that stays in the dead letter topic is never processed, and nobody notices",
                look_at="which release wrote this amount, and how much is it if these are cents?",
            )
    return places


def _refusal(letter: DeadLetter) -> str:
    """Why the fixed service cannot process it; empty if it can."""
    try:
        incident.process(incident.decode_repaired(letter))
    except (EventError, retry.PermanentError) as error:
        return str(error)
    return ""


def _described(letter: DeadLetter) -> str:
    headers = ", ".join(f"{name}={value!r}" for name, value in letter.headers if name != "event_id") or "none"
    error = letter.error.rpartition(".")[2]
    value = log.text(letter.value)
    payload = value.partition('"payload": ')[2] or value
    return f"error: {error}: {letter.message}\nheaders: {headers}\nvalue: … {payload[-150:]}"


EXERCISE = Exercise(
    id="10-1",
    title="What was wrong that morning?",
    difficulty="medium",
    minutes=12,
    call="to_redrive(letters)",
    hints=(
        "Two letters have nearly the same message. What else differs: key, value, headers?",
        "Look at the header `release` of the letters whose amount is above the limit. How much is 134271 in cents?",
        "Leave out letters with another error, another release or no headers, and amounts that are too large "
        "even in cents: "
        "`Event.decode(letter.value).payload['amount'] / 100`.",
    ),
    explanation="Release 2.4 wrote amounts in cents. The error says what was refused, the header which release "
    "wrote it, the value how large it was: only together do they tell what the fix helps. The others stay where "
    "they are. And amounts in cents below the limit were processed, a hundred times too large: there is no dead "
    "letter of those.",
    points_at=("case",),
    judge=_chosen,
)
