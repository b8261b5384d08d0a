"""09-2: the function tells poison from an outage in every story of up to five attempts."""

from collections.abc import Iterator

from labsupport.course.exercise import Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown

Attempts = tuple[tuple[str, bool], ...]

FAULTS = "'poison', 'outage' or 'unknown'"


def _fault(answer: Submission, _: Lab) -> str:
    """All stories of up to five attempts, shortest first; then long ones."""
    tried = 0
    for length in range(1, 6):
        for story in _stories(length):
            tried += 1
            _require_fault(answer, _renamed(story, tried))
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(60)]
    for story in (
        (
            *((each, True) for each in ids[:50]),
            (ids[50], False),
            *((each, True) for each in ids[51:]),
            (ids[50], False),
        ),
        (*((each, True) for each in ids[:50]), *((each, False) for each in ids[50:])),
        (*((each, True) for each in ids[:50]), *((ids[50], False) for _ in ids)),
        ((ids[0], False), *((f"{n:08x}", True) for n in range(200)), (ids[0], False)),
        ((ids[0], False), *((ids[1], False) for _ in range(200))),
    ):
        _require_fault(answer, story)
        tried += 1
    return f"Right for {tried} stories, from one attempt to 202."


def _stories(length: int, begun: Attempts = ()) -> Iterator[Attempts]:
    """Every story of that length whose last attempt failed; events are a, b, c … in order of arrival.

    An event that worked is not tried again.
    """
    if len(begun) == length:
        if not begun[-1][1]:
            yield begun
        return
    known = list(dict.fromkeys(event for event, _ in begun))
    done = {event for event, worked in begun if worked}
    for event in (*known, "abcdefgh"[len(known)]):
        if event not in done:
            for worked in (False, True):
                yield from _stories(length, (*begun, (event, worked)))


def _renamed(story: Attempts, number: int) -> Attempts:
    """The same story with other names, which do not reveal the order."""
    names = {event: event for event, _ in story}
    if number % 2 == 0:
        names = dict(zip(names, reversed([*names]), strict=True))
    return tuple((f"{names[event]}{number // 10 or ''}", worked) for event, worked in story)


def _right_fault(attempts: Attempts) -> str:
    failing: set[str] = set()  # since the last success
    before: set[str] = set()
    for event, worked in attempts:
        if worked:
            before |= failing
            failing = set()
        else:
            failing.add(event)
    if len(failing) > 1:
        return "outage"
    return "poison" if failing <= before else "unknown"


WHY = {
    "outage": (
        "different events have failed since the last success: the fault is not in one of them",
        "which events have failed since the last success?",
    ),
    "poison": (
        "this event failed, another one worked, and it failed again: the system works, this event does not",
        "what worked between two failures of this event?",
    ),
    "unknown": (
        "only one event has failed since the last success, and no other worked between two of its failures: "
        "nobody knows whether others would work now",
        "what worked after the first failure of this event?",
    ),
}


def _require_fault(answer: Submission, story: Attempts) -> None:
    right = _right_fault(story)
    came_back = answer(list(story), returns=str, asks=FAULTS)
    if came_back != right:
        rule, look_at = WHY[right]
        raise TryAgain(
            says=f"This is {right!r}.",
            given=answer.called(list(story)),
            came_back=shown(came_back),
            story=" → ".join(f"{event[:8]} {'works' if worked else 'fails'}" for event, worked in story[-12:]),
            rule=rule,
            look_at=look_at if came_back in WHY else f"the three words are {FAULTS}",
        )


EXERCISE = Exercise(
    id="09-2",
    title="Poison or outage?",
    difficulty="medium",
    minutes=6,
    call="whose_fault(attempts)",
    hints=(
        "If an event worked, what does that say about an outage? So which part of the past still matters?",
        "Go through the attempts and keep a set of the events that have failed since the last success. At each "
        "success, move them into a second set.",
        "In the end, more than one event in the first set means an outage. A single one that is also in the "
        "second set is poison.",
    ),
    explanation="How often an event failed says little: in an outage the first one fails as often as you try it. What "
    "matters is what other events did meanwhile. Saying 'outage' too early costs time; saying 'poison' too early sets "
    "healthy events aside.",
    judge=_fault,
)
