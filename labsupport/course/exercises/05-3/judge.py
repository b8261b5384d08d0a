"""05-3: real members with these settings survive a restart, and the group notices a dead one in time."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError

from labsupport.broker.advice import advice
from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.delivery import reading
from labsupport.delivery.moments import Kind
from labsupport.errors import LabError
from labsupport.experiments.breaking import forkserver
from labsupport.experiments.watching.ownership import GroupHistory

BACK, MISSED = 2_000, 5_000  # ms: a restart takes up to BACK, and a dead member must be noticed within MISSED

DEFAULTS = {name: KafkaConsumer.DEFAULT_CONFIG[name] for name in ("session_timeout_ms", "heartbeat_interval_ms")}

SET_ALREADY = ("group_id", "client_id", "bootstrap_servers", "enable_auto_commit")


Life = dict[str, dict[str, Any]]  # by member, the settings with which it starts


def _settings(answer: Submission, lab: Lab) -> str:
    """What client and broker accept; the worst moment to die, in figures; then real members, killed."""
    lives = [{name: _read(answer, name) for name in "AB"}, {name: _read(answer, name) for name in "BA"}]
    lives += _in_another_process(answer)  # a restarted program calls the function again
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
    """The settings as a new process gets them; empty if the function does not return them there."""
    function = answer.value
    there = forkserver.shared().run(lambda: {name: function(name) for name in "AB"}, name="settings").returned
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
                says=f"{shown(setting)} is not a setting that you can choose here.",
                given=given,
                came_back=shown(settings),
                rule="group, name and address are fixed, and no other consumer setting has that name",
                look_at=f"near: {', '.join(near)}" if near else "session_timeout_ms, heartbeat_interval_ms",
            )
        if setting.endswith("_ms") and (isinstance(value, bool) or not isinstance(value, int)):
            raise TryAgain(
                says=f"{setting} is {shown(value)}.",
                given=given,
                came_back=shown(settings),
                rule="the client counts in whole milliseconds",
                look_at="3 s are 3_000",
            )
    instance = settings.get("group_instance_id")
    if instance is not None and not (isinstance(instance, str) and re.fullmatch(r"[\w.-]{1,249}", instance, re.ASCII)):
        raise TryAgain(
            says=f"group_instance_id is {shown(instance)}.",
            given=given,
            came_back=shown(settings),
            rule="it is a string of letters, digits, dots, dashes and underscores",
            look_at="what differs between members, and is the same after a restart?",
        )
    return settings


def _require_accepted(lab: Lab, topic: str, settings: dict[str, Any], given: str) -> None:
    """Raise TryAgain unless the client can be made and the broker lets it into a group."""
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


def _let_in(lab: Lab, topic: str, name: str, group: str, settings: dict[str, Any]) -> KafkaConsumer:
    consumer = lab.consumer(
        topic, name=name, client_id=name, group_id=lab.group(f"{CHECKED}-{group}"), enable_auto_commit=False, **settings
    )
    reading.join(consumer)
    return consumer


def _require_times(settings: dict[str, Any], given: str) -> None:
    """The worst moment to die: just before a heartbeat for a restart, just after one for being noticed."""
    session, beat = (settings.get(name, default) for name, default in DEFAULTS.items())
    left_out = [name for name in DEFAULTS if name not in settings]
    if session < 3 * beat:
        raise TryAgain(
            says="Fewer than three heartbeats fit into a session.",
            given=given,
            rule=f"two may be lost without harm, and {session} ms hold only {session // beat} of {beat} ms each",
            look_at="the heartbeat interval is at most a third of the session timeout",
        )
    if session - beat < BACK:
        raise TryAgain(
            says="The group can give up a member before it is back.",
            given=given,
            story=_times(
                (0, "B sends its last heartbeat"),
                (beat, "just before the next one, B dies and is restarted"),
                (session, "no heartbeat for a session: B's partitions go to A"),
                (beat + BACK, "B is back"),
            ),
            rule=f"a restart of {BACK} ms must not move partitions",
            look_at="the broker counts from the last heartbeat, which may be one interval old",
        )
    if session + beat > MISSED:
        raise TryAgain(
            says=f"The group can notice a dead member later than {MISSED / 1_000:g} s after its death.",
            given=given,
            story=_times(
                (0, "B sends a heartbeat and dies at once"),
                (session, "no heartbeat for a session: the broker removes B"),
                (session + beat, "A learns of it with its own next heartbeat"),
            ),
            rule=f"nobody reads its partitions for up to {session + beat} ms",
            look_at=f"{' and '.join(left_out)}: a setting that you leave out has the client's default"
            if left_out
            else "two settings add up: session_timeout_ms, and the heartbeat_interval_ms of the remaining member",
        )


def _times(*moments: tuple[int, str]) -> str:
    return "\n".join(f"{at / 1_000:6.1f} s  {what}" for at, what in sorted(moments, key=lambda moment: moment[0]))


def _require_own_ids(lab: Lab, topic: str, chosen: dict[str, dict[str, Any]]) -> None:
    """Two members with one instance id: show what the broker makes of them."""
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
        given=f"both have the group_instance_id {shown(ids.pop())}",
        came_back=f"both joined, and the group has {members} member{'s' * (members != 1)}",
        rule="the group takes B for a restarted A, and turns A away",
        look_at="an instance id belongs to one member only: what do you know about each?",
    )


def _restart_and_die(lab: Lab, topic: str, lives: Sequence[Life]) -> str:
    """Restart and kill real members. Their ids alone decide whether they come back as themselves."""
    ids = {name: [life[name].get("group_instance_id") for life in lives] for name in "BA"}
    stranger = next((name for name in ids if None in ids[name] or len(set(ids[name])) > 1), None)
    who = stranger or "B"
    first, again = lives[0], next((life for life in lives if life[who] != lives[0][who]), lives[1])
    with lab.members(topic, lab.group(f"{CHECKED}-real"), **DEFAULTS) as members:
        for name, settings in first.items():
            members.start(name, settle=False, **settings)
        members.settle()
        for attempt in range(3):
            away, moved = _restart(members, who, again[who])
            if stranger or (moved and attempt == 2):
                raise TryAgain(
                    **_moved(who, first[who], again[who], moved),
                    timed=not stranger,  # this machine may have been too slow for the restart
                )
            members.settle()
            if not moved:
                break
        members.kill("B")
        killed = members.history.interventions[-1]
        members.wait(lambda history: history.assignment("A") == [0, 1], "A to have B's partitions")
        missed = members.history.of_kind(Kind.ASSIGNED, "A")[-1].time - killed.time
    return (
        f"B was back {away:.1f} s after it was killed, and A kept its partition; A got a dead B's partition "
        f"after {missed:.1f} s."
    )


def _restart(members: Any, who: str, again: dict[str, Any]) -> tuple[float, str]:
    """Kill A or B and restart it: seconds until it was back, and the story if the other one gave up a partition."""
    (other,) = set("AB") - {who}
    members.kill(who)
    killed = members.history.interventions[-1]
    members.start(who, settle=False, **again)

    def told(history: GroupHistory, what: str, name: str) -> list:
        return [moment for moment in history.after(killed).of_kind(what, name) if moment.partitions]

    def over(history: GroupHistory) -> list:
        return told(history, Kind.REVOKED, other) or told(history, Kind.ASSIGNED, who)

    moment = members.wait(over, f"{who} to be back", 60)[0]
    after = moment.time - killed.time
    if moment.client_id == who:
        return after, ""
    started = members.history.of_kind(Kind.STARTED, who)[-1]
    return after, _times(
        (0, f"{who} is killed"),
        (int(1_000 * (started.time - killed.time)), f"{who} is restarted"),
        (int(1_000 * after), f"{other} gives up partition {moment.partitions[0].partition}: a rebalance"),
    )


def _moved(who: str, first: dict[str, Any], again: dict[str, Any], story: str) -> dict[str, str]:
    (other,) = set("AB") - {who}
    return {
        "says": f"{who} was restarted, and {other} had to give up its partition.",
        "given": f"{who} started with {shown(first)},\nand restarted with {shown(again)}",
        "story": story,
        "rule": f"the group took {who} for a new member and reassigned the partitions",
        "look_at": "which setting identifies a member after a restart? Each member needs it, with the same "
        "value each time",
    }


EXERCISE = Exercise(
    id="05-3",
    title="Settings for a need",
    difficulty="medium",
    minutes=9,
    call="settings(name)",
    hints=(
        "The broker gets a member's last heartbeat, and then nothing. How long does it wait, and from when on?",
        "A member that comes back with the same `group_instance_id` gets its partitions back. Each member needs "
        "its own id, and has a name.",
        "Think of the worst moment to die. For a restart it is just before the next heartbeat: the session must "
        "cover the restart and one interval. For being noticed it is just after a heartbeat.",
    ),
    explanation="A static member keeps its partitions if it is back before its session ends: 2 s plus one "
    "heartbeat interval, because the broker counts from the last heartbeat. The broker removes a dead member "
    "after a session, and the others learn of it with their own next heartbeat: together at most 5 s. Six "
    "heartbeats fit into this session.",
    judge=_settings,
)
