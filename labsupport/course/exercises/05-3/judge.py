"""05-3, settings for a need: the judge."""

import contextlib
import difflib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError

from labsupport.broker.advice import advice
from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.delivery.moments import Kind
from labsupport.errors import LabError
from labsupport.experiments.breaking import python_process
from labsupport.experiments.breaking.forkserver import ForkServer
from labsupport.experiments.watching.ownership import History
from labsupport.waiting import until

if TYPE_CHECKING:
    from labsupport.course.session import Lesson


BACK, MISSED = 2_000, 5_000  # milliseconds: a restart takes up to BACK, a dead member is missed within MISSED

DEFAULTS = {name: KafkaConsumer.DEFAULT_CONFIG[name] for name in ("session_timeout_ms", "heartbeat_interval_ms")}

SET_ALREADY = ("group_id", "client_id", "bootstrap_servers", "enable_auto_commit")


Life = dict[str, dict[str, Any]]  # by member, the settings with which it starts


def _settings(answer: Submission, lab: "Lesson") -> str:
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


def _in_another_process(answer: Submission) -> list[Life]:
    """The settings as a new process gets them; none if there is no telling."""
    function = answer.value
    with contextlib.suppress(LabError):  # it uses something that no other process can have
        there = python_process.run(lambda: {name: function(name) for name in "AB"}, name="settings").returned
        if isinstance(there, dict) and all(isinstance(settings, dict) for settings in there.values()):
            return [there]
    return []


def _read(answer: Submission, name: str) -> dict[str, Any]:
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
    with ForkServer() as nursery, lab.members(topic, lab.group(f"{CHECKED}-real"), **DEFAULTS) as members:
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
        missed = members.history.told(Kind.ASSIGNED, "A")[-1].time - killed.time
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
        return [moment for moment in history.after(killed).told(what, name) if moment.partitions]

    def over(history: History) -> list:
        return told(history, Kind.REVOKED, other) or told(history, Kind.ASSIGNED, who)

    moment = members.wait(over, f"{who} to be back", 60)[0]
    after = moment.time - killed.time
    if moment.client_id == who:
        return after, ""
    started = members.history.told(Kind.STARTED, who)[-1]
    return after, _times(
        (0, f"{who} is killed"),
        (int(1_000 * (started.time - killed.time)), f"{who} is started again"),
        (int(1_000 * after), f"{other} gives up partition {moment.partitions[0].partition}: a rebalance"),
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


EXERCISE = Exercise(
    id="05-3",
    title="Settings for a need",
    difficulty="medium",
    minutes=9,
    call="settings(name)",
    hints=(
        "The broker hears a member's last heartbeat, and then nothing. What does it wait for, and from when on?",
        "Who comes back under the same `group_instance_id` gets its partitions back; each member needs one of its "
        "own, and it has a name.",
        "Think of the worst moment to die. For a restart it is just before the next heartbeat: so a session holds "
        "the restart and one interval. For being missed it is just after one.",
    ),
    explanation="A static member comes back as the one it was, if the session lasts until then: 2 s and one "
    "heartbeat's interval, since the broker counts from the last heartbeat. A dead one is missed after a session, "
    "and the others hear of it with their own next heartbeat: together at most 5 s. Six heartbeats fit into this "
    "session.",
    judge=_settings,
)
