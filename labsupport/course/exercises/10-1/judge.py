"""10-1, what was wrong that morning?: the judge."""

import random
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.delivery import dead_letter, retry
from labsupport.delivery.dead_letter import DeadLetter
from labsupport.errors import EventError
from labsupport.experiments.breaking import incident
from labsupport.experiments.watching import log
from labsupport.history import redrive

if TYPE_CHECKING:
    from labsupport.course.session import Lesson


def _chosen(answer: Submission, lab: "Lesson") -> str:
    """Another morning's dead letters: each alone, some, all; then the chosen ones go back to the mended service."""
    topic = lab.topic(CHECKED)
    dead = lab.dead_letters(topic)
    incident.happen(lab, topic, [*incident.morning(2), *incident.beside_it()])
    letters = [found.letter for found in redrive.letters(lab.consumer(name="redrive"), redrive.selection(dead)).found]
    alone = sorted(letters, key=lambda letter: (_refusal(letter) != "", len(letter.headers), letter.offset))
    chance = random.Random(2)
    mixed = [chance.sample(letters, size) for size in (0, 2, 3, 4, 5, 6)]
    for given in [*([letter] for letter in alone), *mixed, letters]:
        places = _places(answer, given)
    before = len(letters)
    chosen = redrive.selection(dead, where=lambda record: dead_letter.unwrap(record).coordinates in places)
    account = redrive.redrive(lab.consumer(name="redrive"), lab.producer(name="check"), chosen)
    incident.work(lab, topic, incident.mended)
    if again := len(log.read(lab, dead).records) - before:
        raise AssertionError(f"{again} of {account.done} came back")
    return f"Sent back: {account.done} of {before}. The mended service processed them all, and would refuse the others."


def _places(answer: Submission, given: Sequence[DeadLetter]) -> set[str]:
    came_back = answer(list(given), returns=Collection, asks="a list of dead letters, some of those that are given")
    if strange := [each for each in came_back if each not in given]:
        raise TryAgain(
            says="What came back is not one of the dead letters that were given.",
            given=f"{len(given)} dead letter{'s' * (len(given) != 1)}",
            came_back=shown(strange[0]),
            look_at="return those dead letters themselves, in a list that is new in each call",
        )
    places = {each.coordinates for each in came_back}
    if len(places) < len(came_back):
        often, count = Counter(each.coordinates for each in came_back).most_common(1)[0]
        raise TryAgain(
            says=f"One dead letter comes back {count} times.",
            given=f"{len(given)} dead letter{'s' * (len(given) != 1)}",
            came_back=f"{count} times {often}",
            broken="what is sent back twice is processed twice, if nobody remembers it",
            look_at="in which loop is it added?",
        )
    for letter in given:
        refusal = _refusal(letter)
        if refusal and letter.coordinates in places:
            raise TryAgain(
                says="One that you send back would be a dead letter again.",
                given=_described(letter),
                came_back="it is sent back",
                broken=f"the mended service refuses it: {refusal}",
                look_at="what does this one have in common with those that can be helped, and what not?",
            )
        if not refusal and letter.coordinates not in places:
            raise TryAgain(
                says="One that you leave can be processed now.",
                given=_described(letter),
                came_back="it is not sent back",
                broken="what is left in the dead letter topic is not processed, and nobody misses it",
                look_at="which release wrote this amount, and what is it if these are cents?",
            )
    return places


def _refusal(letter: DeadLetter) -> str:
    """Why the mended service cannot process it; empty if it can."""
    try:
        incident.process(incident.mended(letter))
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
    minutes=9,
    call="to_redrive(letters)",
    hints=(
        "Two letters have nearly the same message. What else is different about them: key, value, headers?",
        "Look at the header `release` of those whose amount is above the limit. What is 134271 if it is cents?",
        "Leave what has another error, another release, no headers at all, and what is too much in cents too: "
        "`Event.decode(letter.value).payload['amount'] / 100`.",
    ),
    explanation="Release 2.4 wrote amounts in cents. The error says what was refused, the header who wrote it, the "
    "value by how much: only together do they say what a fix can help. The others stay where they are. "
    "And amounts in cents below the limit were processed, a hundred times too large: no dead letter tells of them.",
    points_at=("case",),
    judge=_chosen,
)
