"""Exercises of lesson 05, how consumers share the work."""

import contextlib
import difflib
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import permutations
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import KafkaError

from labsupport.base import LabError, progress, until
from labsupport.broker.advice import advice
from labsupport.course.answer import Answer, TryAgain, as_set, shown
from labsupport.course.exercise import CHECKED, Exercise, Wrong
from labsupport.course.joined import joined
from labsupport.experiments import program
from labsupport.experiments.history import History
from labsupport.experiments.nursery import Nursery

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

# 05-1


def _assign(answer: Answer, lab: "Lesson") -> str:
    """All small groups, in every order of their names, the smallest first; then what real groups get."""
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
    return f"Right for {len(sizes) + len(numbered)} small groups, and it is what {len(REAL_GROUPS)} real ones then got."


REAL_GROUPS = ((["B", "A"], 3), (["C", "A", "B"], 7), (["m9", "m10"], 3))


def _by_the_client(names: Sequence[str], partitions: int) -> dict[str, list[int]]:
    """What the client's own range assignor says, as the group's first member calls it."""
    cluster = SimpleNamespace(partitions_for_topic=lambda _: set(range(partitions)))
    subscribed = SimpleNamespace(topics=["t"])
    members = [SimpleNamespace(member_id=f"{name}-1", group_instance_id=None, metadata=subscribed) for name in names]
    assigned = RangePartitionAssignor.assign(cluster, members)
    return {name: [place.partition for place in assigned[f"{name}-1"].partitions()] for name in sorted(names)}


def _require_share(answer: Answer, names: list[str], partitions: int, due: dict[str, list[int]]) -> None:
    came_back = answer(names, partitions, returns=dict, asks="a dict: name → list of partitions")
    given = answer.called(names, partitions)
    if as_set(came_back) != set(names):
        raise TryAgain(
            says="The names in your answer are not those of the members.",
            given=given,
            came_back=shown(came_back),
            broken="every member is in the answer once, also one that gets no partition",
            look_at="a member without a partition has an empty list",
        )
    for name, share in came_back.items():
        if not isinstance(share, Collection) or isinstance(share, str | bytes | dict):
            look_at = f"{name!r} needs a list of partitions, such as [0, 1]"
            raise TryAgain(says="A share is not a list.", given=given, came_back=shown(came_back), look_at=look_at)
    yours = {name: list(came_back[name]) for name in sorted(names)}
    if {name: sorted(share, key=str) for name, share in yours.items()} == due:  # the order inside a share is free
        return
    broken, look_at = _broken_range(names, yours, due, partitions)
    raise TryAgain(
        says="The group gives these members other partitions.",
        given=given,
        came_back=shown(came_back),
        story=_drawn(yours, due, partitions),
        broken=broken,
        look_at=look_at,
    )


def _broken_range(
    names: list[str], yours: dict[str, list], due: dict[str, list[int]], partitions: int
) -> tuple[str, str]:
    """The rule of the range assignor that this answer breaks, and what to look at."""
    times = Counter(shown(number) for share in yours.values() for number in share)
    if times != Counter(map(str, range(partitions))):
        return "each partition is given to one member, and to one only", f"they are numbered 0 to {partitions - 1}"
    if any(sorted(share) != list(range(min(share), min(share) + len(share))) for share in yours.values() if share):
        return "under range a member's partitions lie side by side", "the first member gets the first ones, and so on"
    sizes = {name: len(share) for name, share in yours.items()}
    if sorted(sizes.values()) != sorted(map(len, due.values())):
        look_at = f"{partitions} // {len(names)} for each, and {partitions} % {len(names)} are left"
        return "the shares are as even as they can be: they differ by one at most", look_at
    if names != sorted(names) and sorted(map(sorted, yours.values())) == sorted(due.values()):
        return "the members are taken in the order of their names, compared as text", "sorted(names)"
    return "what is left over goes to the first members, one each", "which member has one more?"


def _drawn(yours: dict[str, list], due: dict[str, list[int]], partitions: int) -> str:
    """Partitions as columns: who has each."""

    def row(shares: dict[str, list]) -> list[str]:
        return [
            "+".join(name for name, share in shares.items() if number in share) or "–" for number in range(partitions)
        ]

    rows = {"partition": list(map(str, range(partitions))), "due": row(due), "yours": row(yours)}
    width = max(len(cell) for cells in rows.values() for cell in cells)
    return "\n".join(f"{what:<11}" + " ".join(cell.ljust(width) for cell in cells) for what, cells in rows.items())


# 05-2


@dataclass(frozen=True)
class Shape:
    """Groups, each with its members' names; the member that is behind, if any; the two services that share one."""

    groups: dict[str, tuple[str, ...]]
    right: tuple[str, ...]
    why: str
    behind: str = ""


ALONE = "each has a group of its own, and that gets everything"
TOGETHER = "two services are members of one group: each event is handled by one of them and missed by the other"
INSTANCES = "these are instances of one service: that they share its work is what a group is for"
NUMBER = 'a client_id is the service, a dash and a number: "order-mail-1" is of the service "order-mail"'
SHAPES = (
    Shape({"payments": ("payments-1",), "reports": ("reports-1",)}, (), ALONE),
    Shape({"payments": ("payments-1", "reports-1")}, ("payments", "reports"), TOGETHER),
    Shape({"payments": ("payments-2", "payments-10"), "reports": ("reports-1",)}, (), INSTANCES),
    Shape(
        {"payments": ("payments-1",), "reports": ("reports-1",)},
        (),
        "a service that is behind has handled less too: it has a group of its own, and will get the rest",
        behind="reports-1",
    ),
    Shape({"payments": ("reports-1",), "bids": ("payments-1",)}, (), "what a group is called says nothing: " + ALONE),
    Shape(
        {"mails": ("order-mail-1",), "orders": ("order-1", "order-archive-1")},
        ("order", "order-archive"),
        f"{TOGETHER}; {NUMBER}",
    ),
    Shape(
        {"payments": ("payments-1", "payments-2", "reports-1"), "bids": ("bids-1",)},
        ("payments", "reports"),
        f"{TOGETHER}; a member without a partition is a member too",
    ),
    Shape({"letters": ("mail-1", "mail2-1")}, ("mail", "mail2"), f"{TOGETHER}; {NUMBER}"),
)


def _sharing(answer: Answer, lab: "Lesson") -> str:
    """Real groups on a topic of two partitions, the smallest first; the learner sees what the broker says of them."""
    for number, shape in enumerate(progress("Groups of services", len(SHAPES), over=SHAPES)):
        groups, handled = _evidence(lab, number, shape)
        came_back = answer(groups, handled, returns=Collection, asks="the two names, or an empty list")
        if as_set(came_back) == set(shape.right) and len(came_back) == len(shape.right):
            continue
        raise TryAgain(
            says=f"Here {' and '.join(shape.right) or 'no two services'} share a group.",
            given=_listed(groups, handled),
            came_back=shown([*came_back]),
            broken=shape.why,
            look_at="the services of one group's members, each taken once",
        )
    return f"Right for {len(SHAPES)} sets of real groups, with instances, a service that is behind, and odd names."


def _evidence(lab: "Lesson", number: int, shape: Shape) -> tuple[dict[str, list[dict]], dict[str, int]]:
    """The groups' members as the broker lists them, and how many of six new events each service has handled."""
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
        producer.flush(timeout=10)
        got: Counter[str] = Counter()

        def all_handled() -> bool:
            for group, consumers in working.items():
                for consumer in consumers:
                    count = sum(map(len, consumer.poll(timeout_ms=20).values()))
                    got[group] += count
                    handled[_service(consumer.config["client_id"])] += count
            return all(got[group] == 6 for group, consumers in working.items() if consumers)

        until(all_handled, 20, "six events to be read by each group", every=0)
    return groups, handled


def _service(client_id: str) -> str:
    return client_id.rpartition("-")[0]


def _listed(groups: dict[str, list[dict]], handled: dict[str, int]) -> str:
    lines = [
        f"group {group}: {member['client_id']} {member['partitions']}" for group in groups for member in groups[group]
    ]
    return "\n".join([*lines, f"handled, of 6 events: {handled}"])


# 05-3

BACK, MISSED = 2_000, 5_000  # milliseconds: a restart takes up to BACK, a dead member is missed within MISSED
DEFAULTS = {name: KafkaConsumer.DEFAULT_CONFIG[name] for name in ("session_timeout_ms", "heartbeat_interval_ms")}
SET_ALREADY = ("group_id", "client_id", "bootstrap_servers", "enable_auto_commit")


Life = dict[str, dict[str, Any]]  # by member, the settings with which it starts


def _settings(answer: Answer, lab: "Lesson") -> str:
    """What a client and a broker take; the worst moment to die, in figures; then real members, killed."""
    lives = [{name: _read(answer, name) for name in "AB"}, {name: _read(answer, name) for name in "BA"}]
    lives += _in_another_process(answer)  # a program that is started again asks for its settings anew
    topic = lab.topic(CHECKED, partitions=2)
    for life in lives:
        for name, settings in life.items():
            given = f"{answer.called(name)} returned {shown(settings)}"
            if life is lives[0]:
                _require_accepted(lab, topic, settings, given)
            _require_times(settings, given)
    _require_own_ids(lab, topic, lives[0])
    return _restart_and_die(lab, topic, lives)


def _in_another_process(answer: Answer) -> list[Life]:
    """The settings as a new process gets them; none if there is no telling."""
    function = answer.value
    with contextlib.suppress(LabError):  # it uses something that no other process can have
        there = program.run(lambda: {name: function(name) for name in "AB"}, name="settings").returned
        if isinstance(there, dict) and all(isinstance(settings, dict) for settings in there.values()):
            return [there]
    return []


def _read(answer: Answer, name: str) -> dict[str, Any]:
    settings = answer(name, returns=dict, asks="a dict of settings")
    given = answer.called(name)
    for setting, value in settings.items():
        if setting not in KafkaConsumer.DEFAULT_CONFIG or setting in SET_ALREADY:
            free = KafkaConsumer.DEFAULT_CONFIG.keys() - SET_ALREADY
            near = difflib.get_close_matches(shown(setting), sorted(free), n=2, cutoff=0.5)
            raise TryAgain(
                says=f"{shown(setting)} is not a setting to choose here.",
                given=given,
                came_back=shown(settings),
                broken="group, name and address are given; no other consumer setting has that name",
                look_at=f"near: {', '.join(near)}" if near else "session_timeout_ms, heartbeat_interval_ms",
            )
        if setting.endswith("_ms") and (isinstance(value, bool) or not isinstance(value, int)):
            raise TryAgain(
                says=f"{setting} is {shown(value)}.",
                given=given,
                came_back=shown(settings),
                broken="the client counts in whole milliseconds",
                look_at="3 s are 3_000",
            )
    instance = settings.get("group_instance_id")
    if instance is not None and not (isinstance(instance, str) and re.fullmatch(r"[\w.-]{1,249}", instance, re.ASCII)):
        raise TryAgain(
            says=f"group_instance_id is {shown(instance)}.",
            given=given,
            came_back=shown(settings),
            broken="it is a text of letters, digits, dots, dashes and underscores",
            look_at="what is different for each member, and the same after its restart?",
        )
    return settings


def _require_accepted(lab: "Lesson", topic: str, settings: dict[str, Any], given: str) -> None:
    """Whether the client can be made and the broker lets it in: both are asked."""
    try:
        _let_in(lab, topic, "check", "settings", settings)
    except (LabError, KafkaError, TypeError, ValueError, AssertionError) as error:
        refused = error.__cause__ if isinstance(error, LabError) and error.__cause__ else error
        raise TryAgain(
            says="A consumer with these settings is refused.",
            given=given,
            came_back=f"{type(refused).__name__}: {refused}"[:300],
            look_at=advice(refused) or "each setting's value",
            timed=isinstance(error, LabError),
        ) from None
    finally:
        lab.close_client("check")


def _let_in(lab: "Lesson", topic: str, name: str, group: str, settings: dict[str, Any]) -> KafkaConsumer:
    consumer = lab.consumer(
        topic, name=name, client_id=name, group_id=lab.group(f"{CHECKED}-{group}"), enable_auto_commit=False, **settings
    )
    until(lambda: consumer.poll(timeout_ms=50) or consumer.assignment(), 15, "a consumer to be let in", every=0)
    return consumer


def _require_times(settings: dict[str, Any], given: str) -> None:
    """The worst moment to die: just before the next heartbeat for a restart, just after one for being missed."""
    session, beat = (settings.get(name, default) for name, default in DEFAULTS.items())
    left_out = [name for name in DEFAULTS if name not in settings]
    if session < 3 * beat:
        raise TryAgain(
            says="Fewer than three heartbeats fit into a session.",
            given=given,
            broken=f"two may be lost without harm, and {session} ms hold {session // beat} of {beat} ms each",
            look_at="the heartbeat's interval is a third of the session time-out, or less",
        )
    if session - beat < BACK:
        raise TryAgain(
            says="A member can be missed before it is back.",
            given=given,
            story=_times(
                (0, "B sends its last heartbeat"),
                (beat, "just before the next one B dies, and is started again"),
                (session, "nothing heard for a session: B's partitions go to A"),
                (beat + BACK, "B is back"),
            ),
            broken=f"a restart of {BACK} ms moves partitions",
            look_at="what the broker counts from: the last heartbeat, which may be one interval old",
        )
    if session + beat > MISSED:
        raise TryAgain(
            says=f"A dead member can be missed later than {MISSED / 1_000:g} s after its death.",
            given=given,
            story=_times(
                (0, "B sends a heartbeat, and dies at once"),
                (session, "nothing heard for a session: B is missed"),
                (session + beat, "A hears of it, with its own next heartbeat"),
            ),
            broken=f"its partitions stand still for up to {session + beat} ms",
            look_at=f"{' and '.join(left_out)}: what you leave out is the client's default"
            if left_out
            else "the two add up: session_timeout_ms, and the heartbeat_interval_ms of the one that is left",
        )


def _times(*moments: tuple[int, str]) -> str:
    return "\n".join(f"{at / 1_000:6.1f} s  {what}" for at, what in sorted(moments, key=lambda moment: moment[0]))


def _require_own_ids(lab: "Lesson", topic: str, chosen: dict[str, dict[str, Any]]) -> None:
    """Two members with one instance id: what the broker makes of them."""
    ids = {settings.get("group_instance_id") for settings in chosen.values()}
    if len(ids) > 1 or None in ids:
        return
    try:
        for name, settings in chosen.items():
            _let_in(lab, topic, f"check {name}", "ids", settings)
        members = len(lab.owners(lab.group(f"{CHECKED}-ids")))
    finally:
        for name in chosen:
            lab.close_client(f"check {name}")
    raise TryAgain(
        says="A and B cannot be in the group together.",
        given=f"both have the group_instance_id {shown(*ids)}",
        came_back=f"both have joined, and the group's members are {members}",
        broken="the group takes B for A come back, and A is turned away",
        look_at="an instance id is of one member alone: what do you know of each?",
    )


def _restart_and_die(lab: "Lesson", topic: str, lives: Sequence[Life]) -> str:
    """Real members. Whether they come back as those they were their ids decide; the members show what comes of it."""
    ids = {name: [life[name].get("group_instance_id") for life in lives] for name in "BA"}
    stranger = next((name for name in ids if None in ids[name] or len(set(ids[name])) > 1), None)
    who = stranger or "B"
    first, again = lives[0], next((life for life in lives if life[who] != lives[0][who]), lives[1])
    # Forked, a member is back at once, on a busy machine too.
    with Nursery() as nursery, lab.members(topic, lab.group(f"{CHECKED}-real"), **DEFAULTS) as members:
        members.launch = nursery.started
        for name, settings in first.items():
            members.start(name, settle=False, **settings)
        members.settle()
        for attempt in range(3):
            away, moved = _restart(members, who, again[who])
            if stranger or (moved and attempt == 2):
                raise TryAgain(
                    **_moved(who, first[who], again[who], moved),
                    timed=not stranger,  # then this machine may have been too slow for the restart
                )
            members.settle()
            if not moved:
                break
        members.kill("B")
        killed = members.history.done_to[-1]
        members.wait(lambda history: history.owned("A") == [0, 1], "A to have B's partitions", 30)
        missed = members.history.told("assigned", "A")[-1].at - killed.at
    return (
        f"Restarted, B was back after {away:.1f} s and A kept its partition; dead, it was missed after {missed:.1f} s."
    )


def _restart(members: Any, who: str, again: dict[str, Any]) -> tuple[float, str]:
    """Kill A or B and start it again: how long it was away (s), and the story if the other gave something up."""
    (other,) = set("AB") - {who}
    members.kill(who)
    killed = members.history.done_to[-1]
    members.start(who, settle=False, **again)

    def told(history: History, what: str, name: str) -> list:
        return [moment for moment in history.after(killed).told(what, name) if moment.places]

    def over(history: History) -> list:
        return told(history, "revoked", other) or told(history, "assigned", who)

    moment = members.wait(over, f"{who} to be back", 60)[0]
    after = moment.at - killed.at
    if moment.who == who:
        return after, ""
    started = members.history.told("started", who)[-1]
    return after, _times(
        (0, f"{who} is killed"),
        (int(1_000 * (started.at - killed.at)), f"{who} is started again"),
        (int(1_000 * after), f"{other} gives up partition {moment.places[0].partition}: a rebalance"),
    )


def _moved(who: str, first: dict[str, Any], again: dict[str, Any], story: str) -> dict[str, str]:
    (other,) = set("AB") - {who}
    return {
        "says": f"{who} was restarted, and {other} had to give up its partition.",
        "given": f"{who} began with {shown(first)},\nand was started again with {shown(again)}",
        "story": story,
        "broken": f"the group took {who} for a new member, which it has to share with",
        "look_at": "which setting lets a member come back as the one it was? Each member needs it, the same each time",
    }


def _wrong_share(body: str) -> str:
    return f"def assign(names, partitions):\n    names = sorted(names)\n{body}"


def _wrong_pair(body: str) -> str:
    return f"def sharing(groups, handled):\n{body}"


def _wrong_settings(**settings: Any) -> str:
    return f"def settings(name):\n    return {settings!r} | {{'group_instance_id': name}}"


NOT_SORTED: Callable[[str], str] = "def assign(names, partitions):\n{}".format
BLOCKS = (
    "    each, left = divmod(partitions, len(names))\n"
    "    shares, begin = {}, 0\n"
    "    for number, name in enumerate(names):\n"
    "        end = begin + each + (number < left)\n"
    "        shares[name] = list(range(begin, end))\n"
    "        begin = end\n"
    "    return shares"
)

# fmt: off
EXERCISES = (
    Exercise(
        id="05-1",
        title="Who gets what?",
        difficulty="easy",
        minutes=6,
        call="assign(names, partitions)",
        stub='''def assign(names, partitions):
    """By name, the list of partitions that the group gives to it."""
    return ...''',
        hints=(
            "Seven partitions, three members: how many does each get at least, and how many are left over?",
            "The order of the names decides, as text, and not the order in which they are given: begin with "
            "`sorted(names)`.",
            "`divmod(partitions, len(names))` gives both numbers. The first members get one more each; then count on "
            "from where the last share ended."),
        reference='''def assign(names, partitions):
    """By name, the list of partitions that the group gives to it."""
    each, left_over = divmod(partitions, len(names))
    shares, begin = {}, 0
    for number, name in enumerate(sorted(names)):
        end = begin + each + (number < left_over)
        shares[name] = list(range(begin, end))
        begin = end
    return shares''',
        explanation="Range takes the members in the order of their names and gives each a stretch of partitions that "
        "lie side by side. If they do not divide evenly, the first get one more; if there are too few, the last get "
        "nothing.",
        wrong=(
            Wrong("partitions are dealt like cards",
                _wrong_share("    step = len(names)\n"
                    "    return {name: list(range(n, partitions, step)) for n, name in enumerate(names)}"),
                "lie side by side"),
            Wrong("who came first is served first", NOT_SORTED(BLOCKS), "in the order of their names"),
            Wrong("the last one gets what is left",
                _wrong_share("    each = partitions // len(names)\n"
                    "    shares = {name: list(range(n * each, (n + 1) * each)) for n, name in enumerate(names)}\n"
                    "    shares[names[-1]] = list(range((len(names) - 1) * each, partitions))\n"
                    "    return shares"), "first members"),
            Wrong("each takes the rounded-up share while there is some",
                _wrong_share("    each = -(-partitions // len(names))\n"
                    "    every = list(range(partitions))\n"
                    "    return {name: every[n * each:(n + 1) * each] for n, name in enumerate(names)}"),
                    "differ by one at most"),
            Wrong("what does not divide evenly is left out",
                _wrong_share("    each = partitions // len(names)\n"
                    "    return {name: list(range(n * each, (n + 1) * each)) for n, name in enumerate(names)}"),
                    "each partition is given to one member"),
            Wrong("a member without a partition is no member",
                _wrong_share(BLOCKS.replace("return shares", "return {name: share for name, share in shares.items() "
                    "if share}")), "also one that gets no partition"),
            Wrong("m10 comes after m2",
                NOT_SORTED("    names = sorted(names, key=lambda name: (len(name), name))\n" + BLOCKS),
                "compared as text"),
            Wrong("everybody gets everything",
                _wrong_share("    return {name: list(range(partitions)) for name in names}"), "to one only"),
        ),
        other_styles=(
            _wrong_share("    owner = []\n"
                "    for n in range(len(names)):\n"
                "        owner += [n] * len(range(n, partitions, len(names)))\n"
                "    number = names.index\n"
                "    return {name: tuple(p for p in range(partitions) if owner[p] == number(name)) for name in names}"),
            "def assign(names, partitions):\n"
            "    if not names:\n"
            "        return {}\n"
            "    *others, last = sorted(names)\n"
            "    share = partitions // len(names)\n"
            "    return {**assign(others, partitions - share), last: range(partitions - share, partitions)}",
        ),
        judge=_assign,
        seconds=3.0,
    ),
    Exercise(
        id="05-2",
        title="Two services, one group",
        difficulty="medium",
        minutes=6,
        call="sharing(groups, handled)",
        stub='''def sharing(groups, handled):
    """The names of the two services that share a group; an empty list if none do."""
    return ...''',
        hints=(
            "Two members of one group: when is that right, and when is it a mistake?",
            "Of each member only the service counts: its `client_id` without the last dash and number "
            "(`rpartition(\"-\")`).",
            "For each group, make the set of its members' services. One service in it is right, two are a mistake."),
        reference='''def sharing(groups, handled):
    """The names of the two services that share a group; an empty list if none do."""
    for members in groups.values():
        services = {member["client_id"].rpartition("-")[0] for member in members}
        if len(services) > 1:
            return sorted(services)
    return []''',
        explanation="The evidence is who is in the group. Several instances of one service belong there; a second "
        "service does not, even if it has no partition at the moment. How much each has handled looks the same for a "
        "service that is merely behind, and a group's name is only a name.",
        wrong=(
            Wrong("a group has one member",
                _wrong_pair("    for members in groups.values():\n"
                    "        if len(members) > 1:\n"
                    "            return {m['client_id'].rpartition('-')[0] for m in members}\n"
                    "    return []"), "instances of one service"),
            Wrong("who has handled less shares a group",
                _wrong_pair("    return sorted(s for s, count in handled.items() if count < 6)"), "is behind"),
            Wrong("who has handled less than the most shares a group",
                _wrong_pair("    less = [s for s, count in handled.items() if count < 6]\n"
                    "    return sorted(handled)[:2] if less else []"), "is behind"),
            Wrong("a group is called as its service is",
                _wrong_pair("    for group, members in groups.items():\n"
                    "        for m in members:\n"
                    "            service = m['client_id'].rpartition('-')[0]\n"
                    "            if service != group:\n"
                    "                return [group, service]\n"
                    "    return []"), "what a group is called says nothing"),
            Wrong("a service's name ends at the first dash",
                _wrong_pair("    for members in groups.values():\n"
                    "        services = {m['client_id'].split('-')[0] for m in members}\n"
                    "        if len(services) > 1:\n"
                    "            return sorted(services)\n"
                    "    return []"), "and a number"),
            Wrong("who has no partition is not in the group",
                _wrong_pair("    for members in groups.values():\n"
                    "        services = {m['client_id'].rpartition('-')[0] for m in members if m['partitions']}\n"
                    "        if len(services) > 1:\n"
                    "            return sorted(services)\n"
                    "    return []"), "without a partition is a member too"),
            Wrong("a client_id belongs to every service that it begins with",
                _wrong_pair("    for members in groups.values():\n"
                    "        found = [s for s in handled if any(m['client_id'].startswith(s) for m in members)]\n"
                    "        if len(found) > 1:\n"
                    "            return found\n"
                    "    return []"), "and a number"),
            Wrong("the first group tells for all",
                _wrong_pair("    for members in groups.values():\n"
                    "        services = {m['client_id'].rpartition('-')[0] for m in members}\n"
                    "        return sorted(services) if len(services) > 1 else []"),
                "Here order and order-archive share"),
            Wrong("the last group tells for all",
                _wrong_pair("    for members in groups.values():\n"
                    "        services = {m['client_id'].rpartition('-')[0] for m in members}\n"
                    "    return sorted(services) if len(services) > 1 else []"), "Here payments and reports share"),
            Wrong("a number has one digit",
                _wrong_pair("    for members in groups.values():\n"
                    "        services = {m['client_id'][:-2] for m in members}\n"
                    "        if len(services) > 1:\n"
                    "            return sorted(services)\n"
                    "    return []"), "instances of one service"),
            Wrong("what is left without digits is the service",
                _wrong_pair("    for members in groups.values():\n"
                    "        services = {m['client_id'].rstrip('-0123456789') for m in members}\n"
                    "        if len(services) > 1:\n"
                    "            return sorted(services)\n"
                    "    return []"), "Here mail and mail2 share"),
            Wrong("there are always two", _wrong_pair("    return ['payments', 'reports']"), "a group of its own"),
        ),
        other_styles=(
            _wrong_pair("    import re\n"
                "    found = set()\n"
                "    for group in groups:\n"
                "        names = {re.sub('-[0-9]+$', '', member['client_id']) for member in groups[group]}\n"
                "        found |= names if len(names) == 2 else set()\n"
                "    return found"),
            _wrong_pair("    from itertools import combinations\n"
                "    where = {}\n"
                "    for group, members in groups.items():\n"
                "        for member in members:\n"
                "            *parts, _ = member['client_id'].split('-')\n"
                "            where.setdefault('-'.join(parts), set()).add(group)\n"
                "    pairs = [pair for pair in combinations(where, 2) if where[pair[0]] & where[pair[1]]]\n"
                "    return pairs[0] if pairs else ()"),
        ),
        judge=_sharing,
        seconds=2.0,
    ),
    Exercise(
        id="05-3",
        title="Settings for a need",
        difficulty="medium",
        minutes=9,
        call="settings(name)",
        stub='''def settings(name):
    """The settings of the member of that name, a dict."""
    return ...''',
        hints=(
            "The broker hears a member's last heartbeat, and then nothing. What does it wait for, and from when on?",
            "Who comes back under the same `group_instance_id` gets its partitions back; each member needs one of its "
            "own, and it has a name.",
            "Think of the worst moment to die. For a restart it is just before the next heartbeat: so a session holds "
            "the restart and one interval. For being missed it is just after one."),
        reference='''def settings(name):
    """The settings of the member of that name, a dict."""
    return {
        "group_instance_id": name,
        "session_timeout_ms": 3_000,
        "heartbeat_interval_ms": 500,
    }''',
        explanation="A static member comes back as the one it was, if the session lasts until then: 2 s and one "
        "heartbeat's interval, since the broker counts from the last heartbeat. A dead one is missed after a session, "
        "and the others hear of it with their own next heartbeat: together at most 5 s. Six heartbeats fit into this "
        "session.",
        wrong=(
            Wrong("a long enough session is all that a restart needs",
                "def settings(name):\n    return {'session_timeout_ms': 3_500, 'heartbeat_interval_ms': 500}",
                "A had to give up its partition"),
            Wrong("the instance id is the service's name",
                "def settings(name):\n    return {'group_instance_id': 'reports', 'session_timeout_ms': 3_500, "
                "'heartbeat_interval_ms': 500}", "the group takes B for A come back"),
            Wrong("the instance id is of one start of the member",
                "from uuid import uuid4\n\ndef settings(name):\n    return {'group_instance_id': f'{name}-{uuid4()}', "
                "'session_timeout_ms': 3_500, 'heartbeat_interval_ms': 500}", "A had to give up its partition"),
            Wrong("an id that is the same here is the same everywhere",
                "def settings(name):\n    return {'group_instance_id': f'{name}-{hash(name) % 1000}', "
                "'session_timeout_ms': 3_500, 'heartbeat_interval_ms': 500}", "A had to give up its partition"),
            Wrong("a number for each start is an id for each member",
                "def settings(name, starts=[]):\n    starts.append(name)\n"
                "    return {'group_instance_id': f'reports-{len(starts)}', "
                "'session_timeout_ms': 3_500, 'heartbeat_interval_ms': 500}", "A had to give up its partition"),
            Wrong("one static member is enough",
                "def settings(name):\n    chosen = {'session_timeout_ms': 3_500, 'heartbeat_interval_ms': 500}\n"
                "    return chosen | {'group_instance_id': 'B'} if name == 'B' else chosen",
                "A was restarted, and B had to give up"),
            Wrong("a session need only be as long as the restart",
                _wrong_settings(session_timeout_ms=2_000, heartbeat_interval_ms=500), "one interval old"),
            Wrong("the shorter the session the better",
                _wrong_settings(session_timeout_ms=1_000, heartbeat_interval_ms=300), "before it is back"),
            Wrong("longer is safer",
                _wrong_settings(session_timeout_ms=30_000, heartbeat_interval_ms=500), "stand still"),
            Wrong("max_poll_interval_ms decides when a dead member is missed",
                _wrong_settings(max_poll_interval_ms=4_000), "the client's default"),
            Wrong("a third of the session is heartbeat enough",
                _wrong_settings(session_timeout_ms=5_000, heartbeat_interval_ms=1_500), "the two add up"),
            Wrong("the session alone decides when the others hear of it",
                _wrong_settings(session_timeout_ms=4_900, heartbeat_interval_ms=500), "with its own next heartbeat"),
            Wrong("one heartbeat in a session is enough",
                _wrong_settings(session_timeout_ms=3_500, heartbeat_interval_ms=1_500), "two may be lost"),
            Wrong("settings are in seconds", _wrong_settings(session_timeout_ms=3, heartbeat_interval_ms=1),
                "InvalidSessionTimeoutError"),
            Wrong("a heartbeat can be slower than the session",
                _wrong_settings(session_timeout_ms=3_000, heartbeat_interval_ms=3_000), "lower than the session"),
        ),
        other_styles=(
            _wrong_settings(session_timeout_ms=4_000, heartbeat_interval_ms=1_000),
            "def settings(name):\n"
            "    beat = 300\n"
            "    return dict(session_timeout_ms=10 * beat, heartbeat_interval_ms=beat, max_poll_interval_ms=60_000,\n"
            "                group_instance_id=f'reports-{name.lower()}')",
        ),
        judge=_settings,
    ),
)
# fmt: on
