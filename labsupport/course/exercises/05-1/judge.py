"""05-1: the function assigns partitions like the client's range assignor, and like real groups."""

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import permutations
from types import SimpleNamespace

from kafka.coordinator.assignors.range import RangePartitionAssignor

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.exercises.members import joined
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, as_set, shown


def _assign(answer: Submission, lab: Lab) -> str:
    """All small groups, in every order of their names, smallest first; then what real groups assign."""
    sizes = [
        (list(names), partitions)
        for count in range(1, 5)
        for partitions in range(1, 10)
        for names in permutations("ABCD"[:count])
    ]
    numbered = [(["m2", "m10", "m1"], partitions) for partitions in range(1, 8)]
    for names, partitions in (*sizes, *numbered):
        _require_share(answer, names, partitions, _by_the_client(names, partitions))
    for number, (names, partitions) in enumerate(REAL_GROUPS):
        topic = lab.topic(CHECKED, partitions=partitions)
        group = lab.group(f"{CHECKED}-{number}")
        with joined(lab, topic, group, names):
            owners = lab.owners(group)
        if owners != _by_the_client(names, partitions):
            raise AssertionError(f"{names} of {partitions} got {owners}")
        _require_share(answer, names, partitions, owners)
    return f"Right for {len(sizes) + len(numbered)} small groups, and {len(REAL_GROUPS)} real groups then did the same."


REAL_GROUPS = ((["B", "A"], 3), (["C", "A", "B"], 7), (["m9", "m10"], 3))


def _by_the_client(names: Sequence[str], partitions: int) -> dict[str, list[int]]:
    """The result of the client's own range assignor, called as the group leader calls it."""
    cluster = SimpleNamespace(partitions_for_topic=lambda _: set(range(partitions)))
    subscribed = SimpleNamespace(topics=["t"])
    members = [SimpleNamespace(member_id=f"{name}-1", group_instance_id=None, metadata=subscribed) for name in names]
    assigned = RangePartitionAssignor.assign(cluster, members)
    return {name: [place.partition for place in assigned[f"{name}-1"].partitions()] for name in sorted(names)}


def _require_share(answer: Submission, names: list[str], partitions: int, due: dict[str, list[int]]) -> None:
    came_back = answer(names, partitions, returns=dict, asks="a dict: name → list of partitions")
    given = answer.called(names, partitions)
    if as_set(came_back) != set(names):
        raise TryAgain(
            says="The names in your result are not those of the members.",
            given=given,
            came_back=shown(came_back),
            rule="every member is in the result once, even one without a partition",
            look_at="a member without a partition has an empty list",
        )
    for name, share in came_back.items():
        if not isinstance(share, Collection) or isinstance(share, str | bytes | dict):
            look_at = f"{name!r} needs a list of partitions, such as [0, 1]"
            raise TryAgain(says="A share is not a list.", given=given, came_back=shown(came_back), look_at=look_at)
    yours = {name: list(came_back[name]) for name in sorted(names)}
    if {name: sorted(share, key=str) for name, share in yours.items()} == due:  # a share may have any order
        return
    rule, look_at = _broken_range(names, yours, due, partitions)
    raise TryAgain(
        says="The group assigns the partitions differently.",
        given=given,
        came_back=shown(came_back),
        story=_drawn(yours, due, partitions),
        rule=rule,
        look_at=look_at,
    )


def _broken_range(
    names: list[str], yours: dict[str, list], due: dict[str, list[int]], partitions: int
) -> tuple[str, str]:
    """The rule of the range assignor that this result breaks, and what to look at."""
    times = Counter(shown(number) for share in yours.values() for number in share)
    if times != Counter(map(str, range(partitions))):
        return "each partition is assigned to exactly one member", f"they are numbered 0 to {partitions - 1}"
    if any(sorted(share) != list(range(min(share), min(share) + len(share))) for share in yours.values() if share):
        return (
            "the range assignor gives a member consecutive partitions",
            "the first member gets the first partitions, and so on",
        )
    sizes = {name: len(share) for name, share in yours.items()}
    if sorted(sizes.values()) != sorted(map(len, due.values())):
        look_at = f"each gets {partitions} // {len(names)}, and {partitions} % {len(names)} are left"
        return "shares are as even as possible: they differ by at most one", look_at
    if names != sorted(names) and sorted(map(sorted, yours.values())) == sorted(due.values()):
        return "members are ordered by name, compared as text", "sorted(names)"
    return "the first members get one more each until nothing is left", "which member has one more?"


def _drawn(yours: dict[str, list], due: dict[str, list[int]], partitions: int) -> str:
    """Partitions as columns, with their owners."""

    def row(shares: dict[str, list]) -> list[str]:
        return [
            "+".join(name for name, share in shares.items() if number in share) or "–" for number in range(partitions)
        ]

    rows = {"partition": list(map(str, range(partitions))), "due": row(due), "yours": row(yours)}
    width = max(len(cell) for cells in rows.values() for cell in cells)
    return "\n".join(f"{what:<11}" + " ".join(cell.ljust(width) for cell in cells) for what, cells in rows.items())


EXERCISE = Exercise(
    id="05-1",
    title="Who gets what?",
    difficulty="easy",
    minutes=6,
    call="assign(names, partitions)",
    hints=(
        "Seven partitions, three members: how many does each get at least, and how many are left over?",
        "The members are ordered by name, as text, not as they are given: begin with `sorted(names)`.",
        "`divmod(partitions, len(names))` gives both numbers. The first members get one more each. Each share "
        "begins where the last one ended.",
    ),
    explanation="The range assignor orders the members by name and gives each a range of consecutive "
    "partitions. If the division leaves a remainder, the first members get one more; with too few partitions, "
    "the last members get none.",
    judge=_assign,
    seconds=3.0,
)
