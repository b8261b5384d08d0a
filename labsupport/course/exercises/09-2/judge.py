"""09-2: the function tells poison from an outage in every story of up to five attempts."""

from collections.abc import Iterator

from labsupport.course.exercise import Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown

Attempts = tuple[tuple[str, bool], ...]

FAULTS = "'poison', 'outage' or 'unknown'"


def _fault(answer: Submission, _: Lab) -> str:
    """All stories of up to five attempts, the shortest first; then two long ones."""
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
    """Every story of that length whose last attempt failed; events are a, b, c … in the order in which they come.

    An event that worked does not come again.
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
    """The same story of other events, whose names say nothing of their order."""
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
        "since the last success different events have failed: what is broken is not in one of them",
        "which events have failed since the last one that worked?",
    ),
    "poison": (
        "it failed, another event worked, and it failed again: the system works, this event does not",
        "what worked between two failures of this event?",
    ),
    "unknown": (
        "one event alone has failed since the last success, and no other worked between two of its failures: whether "
        "others would work now, nobody has tried",
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
        "When one event worked, what does that say of an outage? So what of the past is still of use?",
        "Go through the attempts and keep a set of the events that have failed since the last success. At each "
        "success put them into a second set, and begin anew.",
        "At the end: more than one in the first set is an outage; one that is in the second set, too, is poison.",
    ),
    explanation="How often an event failed says little: in an outage the first one fails as often as you try it. "
    'What counts is what others did meanwhile. To say "outage" too early costs time, to say "poison" too early '
    "sets aside what is healthy.",
    judge=_fault,
)
