"""05-2: the function finds the two services that share one of several real groups."""

import contextlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from labsupport.console import progress
from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.exercises.members import joined
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, as_set, shown
from labsupport.waiting import until


@dataclass(frozen=True)
class Shape:
    """Groups with their members' names; the two services that share one, and why; a member that is behind, if any."""

    groups: dict[str, tuple[str, ...]]
    right: tuple[str, ...]
    why: str
    behind: str = ""


ALONE = "each service has a group of its own, and each group gets every event"

TOGETHER = "two services are in one group: each event reaches one of them and not the other"

INSTANCES = "these are instances of one service: a group exists to share its work"

NUMBER = 'a client_id is the service, a dash and a number: "order-mail-1" belongs to "order-mail"'

SHAPES = (
    Shape({"payments": ("payments-1",), "reports": ("reports-1",)}, (), ALONE),
    Shape({"payments": ("payments-1", "reports-1")}, ("payments", "reports"), TOGETHER),
    Shape({"payments": ("payments-2", "payments-10"), "reports": ("reports-1",)}, (), INSTANCES),
    Shape(
        {"payments": ("payments-1",), "reports": ("reports-1",)},
        (),
        "a service that is behind has handled fewer events, too: in its own group it will get the rest",
        behind="reports-1",
    ),
    Shape({"payments": ("reports-1",), "bids": ("payments-1",)}, (), "a group's name means nothing: " + ALONE),
    Shape(
        {"mails": ("order-mail-1",), "orders": ("order-1", "order-archive-1")},
        ("order", "order-archive"),
        f"{TOGETHER}; {NUMBER}",
    ),
    Shape(
        {"payments": ("payments-1", "payments-2", "reports-1"), "bids": ("bids-1",)},
        ("payments", "reports"),
        f"{TOGETHER}; a member without a partition is still a member",
    ),
    Shape({"letters": ("mail-1", "mail2-1")}, ("mail", "mail2"), f"{TOGETHER}; {NUMBER}"),
)


def _sharing(answer: Submission, lab: Lab) -> str:
    """Real groups on a topic of two partitions, smallest first; the function sees what the broker reports."""
    for number, shape in enumerate(progress("Groups of services", len(SHAPES), over=SHAPES)):
        groups, handled = _evidence(lab, number, shape)
        came_back = answer(groups, handled, returns=Collection, asks="the two names, or an empty list")
        if as_set(came_back) == set(shape.right) and len(came_back) == len(shape.right):
            continue
        raise TryAgain(
            says=f"Here {' and '.join(shape.right) or 'no two services'} share a group.",
            given=_listed(groups, handled),
            came_back=shown([*came_back]),
            rule=shape.why,
            look_at="which different services do the members of one group belong to?",
        )
    return f"Right for {len(SHAPES)} sets of real groups: several instances, a service that is behind, and odd names."


def _evidence(lab: Lab, number: int, shape: Shape) -> tuple[dict[str, list[dict]], dict[str, int]]:
    """The groups' members as the broker lists them, and how many of six new events each service handled."""
    topic = lab.topic(CHECKED, partitions=2)
    real = {group: lab.group(f"{CHECKED}-{number}-{group}") for group in shape.groups}
    handled = {_service(name): 0 for names in shape.groups.values() for name in names}
    with contextlib.ExitStack() as members:
        working = {
            group: [
                consumer
                for consumer in members.enter_context(joined(lab, topic, real[group], names))
                if consumer.config["client_id"] != shape.behind
            ]
            for group, names in shape.groups.items()
        }
        groups = {
            group: [{"client_id": name, "partitions": had} for name, had in lab.owners(real[group]).items()]
            for group in shape.groups
        }
        producer = lab.producer(name=f"{CHECKED} producer")
        for value in range(6):
            producer.send(topic, value=b"%d" % value, partition=value % 2)
        producer.flush(timeout=60)
        got: Counter[str] = Counter()

        def all_handled() -> bool:
            for group, consumers in working.items():
                for consumer in consumers:
                    count = sum(map(len, consumer.poll(timeout_ms=20).values()))
                    got[group] += count
                    handled[_service(consumer.config["client_id"])] += count
            return all(got[group] == 6 for group, consumers in working.items() if consumers)

        until(all_handled, 60, "six events to be read by each group", every=0)
    return groups, handled


def _service(client_id: str) -> str:
    return client_id.rpartition("-")[0]


def _listed(groups: dict[str, list[dict]], handled: dict[str, int]) -> str:
    lines = [
        f"group {group}: {member['client_id']} {member['partitions']}" for group in groups for member in groups[group]
    ]
    return "\n".join([*lines, f"handled, of 6 events: {handled}"])


EXERCISE = Exercise(
    id="05-2",
    title="Two services, one group",
    difficulty="medium",
    minutes=6,
    call="sharing(groups, handled)",
    hints=(
        "When is it right that two members share a group, and when is it a mistake?",
        'Only the service of a member counts: its `client_id` without the last dash and number (`rpartition("-")`).',
        "For each group, make the set of its members' services. One service is right, two are a mistake.",
    ),
    explanation="The evidence is the group's membership. Several instances of one service belong there; a "
    "second service does not, even if it has no partition at the moment. The handled counts look the same for a "
    "service that is merely behind, and a group's name is only a name.",
    judge=_sharing,
    seconds=2.0,
)
