"""The members of a group as processes: started, stopped, killed, frozen; and that nothing of them stays."""

import signal

import psutil
import pytest
from kafka import KafkaConsumer

from labsupport import lesson
from labsupport.broker import processes
from labsupport.broker.cluster import private
from labsupport.delivery import dead_letter, retry
from labsupport.errors import LabError
from labsupport.experiments.breaking import members
from labsupport.experiments.watching import log
from labsupport.waiting import until

WAY_OUT = ["handled", "committing", "committed", "revoked", "left"]
QUICK = {"session_timeout_ms": 1_500, "heartbeat_interval_ms": 200}


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("96")


def filled(lab, records=30, partitions=3):
    """A topic with so many records, spread by key."""
    topic = lab.topic("orders", partitions=partitions)
    send(lab, topic, records)
    return topic


def send(lab, topic, records):
    """So many more records, the same keys each time."""
    producer = lab.producer(name="shop")
    for number in range(records):
        producer.send(topic, key=b"ORD-%d" % (number % 10), value=b"%d" % number)
    producer.flush(timeout=10)


def nobody_is_left(lab, group):
    """Whether no member runs, and the broker knows of none."""
    described = lab.admin().describe_groups([group])[group]
    return not processes.running(lab.settings, ["program"]) and described["members"] == []


def test_the_partitions_go_to_the_members_and_every_record_is_handled_once(lab):
    """What the broker says, what the members know and what they did agree; afterwards nothing of them is there."""
    topic, group = filled(lab), lab.group("share")
    with lab.members(topic, group) as team:
        team.start("A", "B", "C")
        assert team.owners == lab.owners(group) == {"A": [0], "B": [1], "C": [2]}
        assert {name: team.history.owned(name) for name in "ABC"} == team.owners
        team.wait(lambda history: len(history.handled()) == 30, "all records to be handled")
        team.stop("A", "B", "C")
    assert set(team.history.handled().values()) == {1}
    assert sum(team.history.by_member.values()) == 30
    assert lab.lag(topic, group).total == 0
    assert nobody_is_left(lab, group)


def test_two_groups_each_get_everything(lab):
    """Members of one group share; another group has its own place."""
    topic = filled(lab, records=0)
    with lab.members(topic, lab.group("one")) as one, lab.members(topic, lab.group("two")) as two:
        one.start("A", "B")
        two.start("A")
        send(lab, topic, 30)
        for team in one, two:
            team.wait(lambda history: len(history.handled()) == 30, "all records")
    assert sum(one.history.by_member.values()) == 30
    assert 0 < one.history.by_member["A"] < 30
    assert two.history.by_member == {"A": 30}


def test_to_stop_means_to_finish_the_record_in_hand_to_commit_and_to_leave(lab):
    """SIGTERM in the middle of a record: that one is handled and committed, the next one is not begun."""
    topic, group = filled(lab, partitions=1), lab.group("drain")
    with lab.members(topic, group) as team:
        team.start("A", settle=False)
        team.wait(lambda history: history.told("assigned"), "A to have the partition")
        team.wait(lambda history: len(history.handled()) == 30, "all records")
        team.slow("A", 0.5)
        send(lab, topic, 3)
        team.wait(lambda history: len(history.told("handling")) == 31, "A to be in the middle of a record")
        team.stop("A")
        assert lab.owners(group) == {}
        assert [moment.kind for moment in team.history.moments][-5:] == WAY_OUT
        assert len(team.history.handled()) == lab.lag(topic, group).partitions[0].committed < 33


def test_a_killed_member_is_missed_after_its_session_and_loses_nothing(lab):
    """Its partition stands still for about the session time-out; what it had not committed is handled again."""
    topic, group = filled(lab), lab.group("kill")
    with lab.members(topic, group, **QUICK) as team:
        team.start("A", "B")
        team.wait(lambda history: len(history.handled()) == 30, "all records")
        team.kill("A")
        assert set(lab.owners(group)) == {"A", "B"}  # the broker does not know yet
        team.settle()
        (killed,) = team.history.told("killed")
        assert team.owners == {"B": [0, 1, 2]}
        assert team.history.standstill(killed, partition=0) > 1.0  # of 1.5 s; its last heartbeat was up to 0.2 s before
        team.start("A")
        assert team.owners == {"A": [0, 1], "B": [2]}


def test_a_static_member_gets_its_partitions_back_without_a_rebalance(lab):
    """Killed and started within the session: nobody else is disturbed."""
    topic, group = filled(lab), lab.group("static")
    with lab.members(topic, group) as team:
        for name in "AB":
            team.start(name, group_instance_id=name)
        before = team.owners
        team.kill("A")
        (killed,) = team.history.told("killed")
        team.start("A", group_instance_id="A")
        assert team.owners == before == {"A": [0, 1], "B": [2]}
        assert not [moment for moment in team.history.told("revoked", "B") if moment.time > killed.time]
        assert len(team.history.rebalances) == 2


def test_a_frozen_member_that_wakes_up_handles_what_is_not_its_own_and_may_not_commit(lab):
    """Two owners at once; the record is handled by both, and the late commit is refused."""
    topic, group = filled(lab, records=1, partitions=1), lab.group("zombie")
    with lab.members(topic, group, **QUICK) as team:
        team.start("A", settle=False, freeze_at="handling")
        team.wait(lambda history: history.told("frozen", "A"), "A to be frozen in the middle of a record")
        team.start("B")
        team.wait(lambda history: history.told("committed", "B"), "B to have handled it")
        team.wake("A")
        team.wait(lambda history: history.told("refused", "A"), "A's commit to be refused")
        team.settle()
    assert team.history.handled() == {(0, 0): 2}
    assert any(span.meets(other) for span in team.history.spans for other in team.history.spans)


def test_a_member_is_frozen_at_the_moment_that_its_present_start_asks_for(lab):
    """What it did in an earlier life does not count: frozen before its commit, killed, and all is handled again."""
    topic, group = filled(lab, records=3, partitions=1), lab.group("again")
    with lab.members(topic, group, **QUICK) as team:
        team.start("A")
        team.wait(lambda history: history.told("committed", "A"), "A to have handled all")
        team.stop("A")
        send(lab, topic, 2)
        team.start("A", settle=False, freeze_at="handled", nth=2)
        team.wait(lambda history: history.told("frozen", "A"), "A to be frozen")
        assert len(team.history.handled()) == 5
        team.kill("A")
        team.start("A")
        team.wait(lambda history: history.handled()[0, 4] == 2, "A to handle them again")
    assert [team.history.handled()[0, offset] for offset in range(5)] == [1, 1, 1, 2, 2]


def test_a_slow_member_makes_the_others_wait_for_the_join(lab):
    """It does not hear of the rebalance before its record is done; meanwhile nobody else has a partition."""
    topic, group = filled(lab, records=0), lab.group("slow")
    with lab.members(topic, group) as team:
        team.start("A", "B")
        team.slow("A", 1.5)
        send(lab, topic, 10)
        team.wait(lambda history: history.told("handling", "A"), "A to be busy")
        team.start("C")
        order = [(moment.kind, moment.client_id) for moment in team.history.moments]
        assert order.index(("handled", "A")) < len(order) - 1 - order[::-1].index(("assigned", "B"))
        assert team.owners == {"A": [0], "B": [1], "C": [2]}


def prints_and_raises(record):
    """A handler that does both."""
    print("I was here")
    if record.value == b"3":
        raise ValueError("cannot process 3")


def test_a_member_whose_handler_raises_is_told_with_what_it_printed(lab, capsys):
    """Nothing of it gets into the cell by itself; and what it had handled before is committed."""
    topic, group = filled(lab, partitions=1), lab.group("raises")
    with (
        pytest.raises(LabError, match="A has ended by itself") as caught,
        lab.members(topic, group, prints_and_raises) as team,
    ):
        team.start("A", settle=False)
        team.wait(lambda history: len(history.handled()) == 30, "all records")
    assert "cannot process 3" in caught.value.seen
    assert "I was here" not in capsys.readouterr().out
    assert lab.lag(topic, group).partitions[0].committed == 3
    assert nobody_is_left(lab, group)


def test_a_member_that_somebody_else_kills_is_told(lab):
    """Its handler is not blamed."""
    topic, group = filled(lab, partitions=1), lab.group("killed")
    with pytest.raises(LabError, match=r"Member A was killed \(signal 9\)"), lab.members(topic, group) as team:
        team.start("A")
        (member,) = processes.running(lab.settings, ["program"])
        member.process.kill()
        team.wait(lambda history: history.told("left"), "what never happens")
    assert nobody_is_left(lab, group)


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"session_timeout": 9}, "Unrecognized configs"), ({"session_timeout_ms": 400}, "InvalidSessionTimeoutError")],
)
def test_a_member_that_dies_at_start_says_why(lab, asked, said):
    """A setting that no client has; one that the broker refuses."""
    topic, group = filled(lab), lab.group("dies")
    with pytest.raises(LabError) as caught, lab.members(topic, group) as team:
        team.start("A", **asked)
    assert said in caught.value.seen
    assert nobody_is_left(lab, group)


def test_names_that_make_no_sense_are_refused(lab):
    """Started twice, or never."""
    topic = filled(lab)
    with lab.members(topic, lab.group("names")) as team:
        team.start("A")
        with pytest.raises(LabError, match="A is running"):
            team.start("A")
        for verb in team.stop, team.kill, team.freeze, team.wake:
            with pytest.raises(LabError, match="no member 'B'"):
                verb("B")


def test_the_same_cell_run_twice_begins_anew(lab):
    """The group is empty again, and reads from the beginning."""
    topic, group = filled(lab), lab.group("twice")
    for _ in range(2):
        with lab.members(topic, group) as team:
            team.start("A")
            team.wait(lambda history: len(history.handled()) == 30, "all records")
            team.stop("A")
        assert lab.lag(topic, group).total == 0


def test_a_group_that_somebody_else_keeps_joining_is_left_to_them(lab, elsewhere):
    """A program of the learner's with the same group: it is told, with the next step."""
    topic, group = filled(lab), lab.group("theirs")
    theirs = KafkaConsumer(topic, group_id=group, bootstrap_servers=lab.bootstrap, client_id="theirs")
    until(lambda: theirs.poll(timeout_ms=100) or theirs.assignment(), 15, "their consumer to be in")
    with lab.members(topic, group) as team:  # it is thrown out, and comes back as a member that is none of ours
        until(lambda: theirs.poll(timeout_ms=100) or lab.owners(group), 15, "it to be in again")
        with pytest.raises(LabError, match=f"for the group {group} to settle"):
            team.start("A", settle=False)
            team.settle(timeout=1)
    theirs.close()


def test_the_broker_restarts_under_a_running_group(runtime):
    """The members come back by themselves, with what they had."""
    with private(settings=runtime.settings) as kafka:
        topic = kafka.create_topic("96-orders", 2)
        with members.of(kafka, topic, "96-group") as team:
            team.start("A", "B")
            kafka.broker(1).stop()
            kafka.broker(1).start()
            producer = kafka.producer(name="shop")
            for number in range(10):
                producer.send(topic, key=b"%d" % number, value=b"")
            producer.flush(timeout=10)
            team.wait(lambda history: len(history.handled()) == 10, "all records")
            team.settle()
            assert team.owners == {"A": [0], "B": [1]}
            team.stop("A", "B")
        assert sum(log.committed(kafka, topic, "96-group").values()) == 10


CELL = """
from labsupport import lesson
lab = lesson("96")
topic = lab.topic("orders", partitions=2)
with lab.members(topic, lab.group("kernel")) as team:
    team.start("A", "B")
    print(team.owners)
    team.freeze("B")
    print("frozen")
    team.start("C")
"""


def test_a_kernel_interrupted_in_a_rebalance_leaves_nobody_and_the_cell_runs_again(lab, kernel):
    """The member that is frozen too is gone, from the system and from the group."""
    notebook = kernel()
    assert notebook.interrupt(notebook.begin(CELL, "frozen"))["ename"] == "KeyboardInterrupt"
    until(lambda: nobody_is_left(lab, "96-kernel"), 15, "the members to be gone")
    again = notebook.run(CELL.replace('    team.freeze("B")\n    print("frozen")\n', ""))
    assert "{'A': [0], 'B': [1]}" in again
    assert "Error" not in again
    assert nobody_is_left(lab, "96-kernel")


def test_members_of_a_killed_kernel_end_and_the_next_run_works(lab, kernel):
    """The frozen one too; the group is free for the next run."""
    notebook = kernel()
    notebook.begin(CELL, "frozen")
    pids = [each.process.pid for each in processes.running(lab.settings, ["program"])]
    assert len(pids) >= 2
    notebook.kill()
    again = kernel().run(CELL.replace('    team.freeze("B")\n    print("frozen")\n', ""))
    assert "{'A': [0], 'B': [1]}" in again
    assert "Error" not in again
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 15, "the members to be gone")
    assert nobody_is_left(lab, "96-kernel")


def test_a_member_whose_notebook_dies_before_it_has_begun_ends(lab, python):
    """The program that starts it is killed at once: the member never sees its parent."""
    topic, group = filled(lab), lab.group("orphan")
    code = (
        "import os, signal\n"
        "from labsupport.settings import Settings\n"
        "from labsupport.broker.cluster import connect\n"
        "from labsupport.experiments.breaking import members\n"
        f"with members.of(connect(Settings.from_environment()), {topic!r}, {group!r}) as team:\n"
        "    team.start('A', settle=False)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert python(code).returncode == -signal.SIGKILL
    until(lambda: not processes.running(lab.settings, ["program"]), 60, "the member to end")


def test_members_with_a_policy_put_aside_what_they_cannot_process(lab):
    """As many attempts as the policy says, then a dead letter; what lies behind it is handled, and the member lives."""
    topic, group = filled(lab), lab.group("policy")
    dead = lab.dead_letters(topic)

    def handle(record):
        if record.value == b"7":
            raise ValueError("seven")

    with lab.members(topic, group, handle, policy=retry.Policy(attempts=3, wait_initial=0.01)) as team:
        team.start("A")
        team.wait(lambda _: lab.lag(topic, group).total == 0, "everything to be committed")
        assert len(team.history.told("failed")) == 3
        assert len(team.history.handled()) == 29
    (letter,) = map(dead_letter.unwrap, log.read(lab, dead).records)
    assert (letter.value, letter.attempts, letter.group) == (b"7", 3, group)
