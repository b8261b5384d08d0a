"""The members of a group as processes: started, stopped, killed and frozen; nothing of them stays."""

import signal

import psutil
import pytest
from kafka import KafkaConsumer

from labsupport import lesson, reading
from labsupport.broker.cluster import private
from labsupport.delivery import dead_letter, retry
from labsupport.errors import LabError
from labsupport.experiments.breaking import members
from labsupport.experiments.watching import log
from labsupport.waiting import until

WAY_OUT = ["handled", "committing", "committed", "revoked", "left"]
QUICK = {"session_timeout_ms": 1_500, "heartbeat_interval_ms": 200}  # where a member is frozen or killed for good
# Where all live, none may be thrown out because this machine stood still, and a restarted one must be back in time.
STEADY = {"session_timeout_ms": 30_000}


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("96")


def filled(lab, records=30, partitions=3):
    """A topic with `records` records, partitioned by key."""
    topic = lab.topic("orders", partitions=partitions)
    send(lab, topic, records)
    return topic


def send(lab, topic, records):
    """Send `records` more, with the same keys each time."""
    producer = lab.producer(name="shop")
    for number in range(records):
        producer.send(topic, key=b"ORD-%d" % (number % 10), value=b"%d" % number)
    producer.flush(timeout=300)


@pytest.fixture
def no_member_is_left(lab, programs):
    """`no_member_is_left(group)`: whether no member runs and the broker knows none."""

    def asked(group):
        described = lab.admin().describe_groups([group])[group]
        return not programs(lab.settings) and described["members"] == []

    return asked


def test_the_partitions_go_to_the_members_and_every_record_is_handled_once(lab, no_member_is_left):
    """The broker, the members' knowledge and their actions agree; afterwards nothing of them stays."""
    topic, group = filled(lab), lab.group("share")
    with lab.members(topic, group, **STEADY) as team:
        team.start("A", "B", "C")
        assert team.owners == lab.owners(group) == {"A": [0], "B": [1], "C": [2]}
        assert {name: team.history.assignment(name) for name in "ABC"} == team.owners
        team.wait(lambda history: len(history.handled()) == 30, "all records to be handled")
        team.stop("A", "B", "C")
    assert set(team.history.handled().values()) == {1}
    assert sum(team.history.handled_by_member.values()) == 30
    assert lab.lag(topic, group).total == 0
    assert no_member_is_left(group)


def test_the_time_to_handle_counts_only_the_records_of_its_call(lab):
    """Two calls: each reports the records of its own keys, and one key has one member."""
    topic, group = lab.topic("orders", partitions=2), lab.group("timed")
    with lab.members(topic, group, **STEADY) as team:
        team.start("A", "B")
        seconds, by_member = team.time_to_handle([f"ORD-{number}" for number in range(20)])
        assert seconds > 0
        assert sum(by_member.values()) == 20
        _, by_member = team.time_to_handle(["ORD-1"] * 5)
        assert sorted(by_member.values()) == [0, 5]
        team.wait_for_handled(25)
    assert len(team.history.handled()) == 25


def test_two_groups_each_get_everything(lab):
    """Members of one group share the partitions; another group has its own offsets."""
    topic = filled(lab, records=0)
    with lab.members(topic, lab.group("one"), **STEADY) as one, lab.members(topic, lab.group("two"), **STEADY) as two:
        one.start("A", "B")
        two.start("A")
        send(lab, topic, 30)
        for team in one, two:
            team.wait(lambda history: len(history.handled()) == 30, "all records")
    assert sum(one.history.handled_by_member.values()) == 30
    assert 0 < one.history.handled_by_member["A"] < 30
    assert two.history.handled_by_member == {"A": 30}


def test_a_stopped_member_finishes_its_record_commits_and_leaves(lab):
    """SIGTERM during a record: that one is handled and committed, the next one is not begun."""
    topic, group = filled(lab, partitions=1), lab.group("drain")
    with lab.members(topic, group, **STEADY) as team:
        team.start("A", settle=False)
        team.wait(lambda history: history.of_kind("assigned"), "A to have the partition")
        team.wait(lambda history: len(history.handled()) == 30, "all records")
        team.slow("A", 0.5)
        send(lab, topic, 3)
        team.wait(lambda history: len(history.of_kind("handling")) == 31, "A to be in the middle of a record")
        team.stop("A")
        assert lab.owners(group) == {}
        assert [moment.kind for moment in team.history.moments][-5:] == WAY_OUT
        assert len(team.history.handled()) == lab.lag(topic, group).partitions[0].committed < 33


def test_a_killed_member_is_noticed_after_its_session_timeout_and_nothing_is_lost(lab):
    """Its partition has no owner for about the session timeout; uncommitted records are handled again."""
    topic, group = filled(lab), lab.group("kill")
    with lab.members(topic, group, session_timeout_ms=6_000, heartbeat_interval_ms=200) as team:
        team.start("A", "B")
        team.wait(lambda history: len(history.handled()) == 30, "all records")
        team.kill("A")
        assert set(lab.owners(group)) == {"A", "B"}  # the broker does not know yet
        team.settle()
        (killed,) = team.history.of_kind("killed")
        assert team.owners == {"B": [0, 1, 2]}
        assert team.history.longest_gap(killed, partition=0) > 1.0  # of 6 s; its last heartbeat was a little before
        team.start("A")
        assert team.owners == {"A": [0, 1], "B": [2]}


def test_a_static_member_gets_its_partitions_back_without_a_rebalance(lab):
    """Killed and started within the session timeout: the other members notice nothing."""
    topic, group = filled(lab), lab.group("static")
    with lab.members(topic, group, **STEADY) as team:
        for name in "AB":
            team.start(name, group_instance_id=name)
        before = team.owners
        team.kill("A")
        (killed,) = team.history.of_kind("killed")
        team.start("A", group_instance_id="A")
        assert team.owners == before == {"A": [0, 1], "B": [2]}
        assert not [moment for moment in team.history.of_kind("revoked", "B") if moment.time > killed.time]
        assert len(team.history.rebalances) == 2


def test_a_woken_member_handles_a_record_that_it_no_longer_owns_and_cannot_commit(lab):
    """Two owners at once: both members handle the record, and the late commit is refused."""
    topic, group = filled(lab, records=1, partitions=1), lab.group("zombie")
    with lab.members(topic, group, **QUICK) as team:
        team.start("A", settle=False, freeze_at="handling")
        team.wait(lambda history: history.of_kind("frozen", "A"), "A to be frozen in the middle of a record")
        team.start("B")
        team.wait(lambda history: history.of_kind("committed", "B"), "B to have handled it")
        team.wake("A")
        team.wait(lambda history: history.of_kind("refused", "A"), "A's commit to be refused")
        team.settle()
    assert team.history.handled() == {(0, 0): 2}
    assert any(span.overlaps(other) for span in team.history.spans for other in team.history.spans)


def test_freeze_at_counts_from_the_present_start(lab):
    """Moments before the restart do not count. Frozen before its commit and killed: all is handled again."""
    topic, group = filled(lab, records=3, partitions=1), lab.group("again")
    with lab.members(topic, group, **QUICK) as team:
        team.start("A")
        team.wait(lambda history: history.of_kind("committed", "A"), "A to have handled all")
        team.stop("A")
        send(lab, topic, 2)
        team.start("A", settle=False, freeze_at="handled", nth=2)
        team.wait(lambda history: history.of_kind("frozen", "A"), "A to be frozen")
        assert len(team.history.handled()) == 5
        team.kill("A")
        team.start("A")
        team.wait(lambda history: history.handled()[0, 4] == 2, "A to handle them again")
    assert [team.history.handled()[0, offset] for offset in range(5)] == [1, 1, 1, 2, 2]


def test_a_slow_member_makes_the_others_wait_for_the_join(lab):
    """It joins only after its record; meanwhile no member owns a partition."""
    topic, group = filled(lab, records=0), lab.group("slow")
    with lab.members(topic, group, **STEADY) as team:
        team.start("A", "B")
        team.slow("A", 1.5)
        send(lab, topic, 10)
        team.wait(lambda history: history.of_kind("handling", "A"), "A to be busy")
        team.start("C")
        order = [(moment.kind, moment.client_id) for moment in team.history.moments]
        assert order.index(("handled", "A")) < len(order) - 1 - order[::-1].index(("assigned", "B"))
        assert team.owners == {"A": [0], "B": [1], "C": [2]}


def prints_and_raises(record):
    """A handler that does both."""
    print("I was here")
    if record.value == b"3":
        raise ValueError("cannot process 3")


def test_a_handler_that_raises_is_an_error_with_its_output(lab, capsys, no_member_is_left):
    """The output does not appear in the cell by itself, and what was handled before is committed."""
    topic, group = filled(lab, partitions=1), lab.group("raises")
    with (
        pytest.raises(LabError, match="A has ended by itself") as caught,
        lab.members(topic, group, prints_and_raises, **STEADY) as team,
    ):
        team.start("A", settle=False)
        team.wait(lambda history: len(history.handled()) == 30, "all records")
    assert "cannot process 3" in caught.value.seen
    assert "I was here" not in capsys.readouterr().out
    assert lab.lag(topic, group).partitions[0].committed == 3
    assert no_member_is_left(group)


def test_a_member_that_another_program_kills_is_an_error(lab, no_member_is_left, programs):
    """The error does not blame its handler."""
    topic, group = filled(lab, partitions=1), lab.group("killed")
    with (
        pytest.raises(LabError, match=r"Member A was killed \(signal 9\)"),
        lab.members(topic, group, **STEADY) as team,
    ):
        team.start("A")
        (member,) = programs(lab.settings)
        member.process.kill()
        team.wait(lambda history: history.of_kind("left"), "what never happens")
    assert no_member_is_left(group)


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"session_timeout": 9}, "Unrecognized configs"), ({"session_timeout_ms": 400}, "InvalidSessionTimeoutError")],
)
def test_a_member_that_dies_at_start_says_why(lab, asked, said, no_member_is_left):
    """A setting that the client does not have; one that the broker refuses."""
    topic, group = filled(lab), lab.group("dies")
    with pytest.raises(LabError) as caught, lab.members(topic, group, **STEADY) as team:
        team.start("A", **asked)
    assert said in caught.value.seen
    assert no_member_is_left(group)


def test_names_that_do_not_fit_are_refused(lab):
    """Of members that were started already, or never."""
    topic = filled(lab)
    with lab.members(topic, lab.group("names")) as team:
        team.start("A")
        with pytest.raises(LabError, match="A is running"):
            team.start("A")
        for verb in team.stop, team.kill, team.freeze, team.wake:
            with pytest.raises(LabError, match="no member 'B'"):
                verb("B")


def test_the_same_cell_run_twice_starts_over(lab):
    """The group is empty again, and reads from the beginning."""
    topic, group = filled(lab), lab.group("twice")
    for _ in range(2):
        with lab.members(topic, group, **STEADY) as team:
            team.start("A")
            team.wait(lambda history: len(history.handled()) == 30, "all records")
            team.stop("A")
        assert lab.lag(topic, group).total == 0


def test_a_group_that_another_consumer_keeps_joining_is_left_to_it(lab, elsewhere):
    """A learner's own program in the same group: an error, not a fight."""
    topic, group = filled(lab), lab.group("theirs")
    theirs = KafkaConsumer(topic, group_id=group, bootstrap_servers=lab.bootstrap, client_id="theirs")
    reading.join(theirs)
    with lab.members(topic, group, **STEADY) as team:  # their consumer is thrown out, and joins again
        until(lambda: theirs.poll(timeout_ms=100) or lab.owners(group), 300, "it to be in again")
        with pytest.raises(LabError, match=f"for the group {group} to settle"):
            team.start("A", settle=False)
            team.settle(timeout=1)
    theirs.close()


def test_the_broker_restarts_under_a_running_group(runtime):
    """The members reconnect and keep their partitions."""
    with private(settings=runtime.settings) as kafka:
        topic = kafka.create_topic("96-orders", 2)
        with members.managed(kafka, topic, "96-group", **STEADY) as team:
            team.start("A", "B")
            kafka.broker(1).stop()
            kafka.broker(1).start()
            producer = kafka.producer(name="shop")
            for number in range(10):
                producer.send(topic, key=b"%d" % number, value=b"")
            producer.flush(timeout=300)
            team.wait(lambda history: len(history.handled()) == 10, "all records")
            team.settle()
            assert team.owners == {"A": [0], "B": [1]}
            team.stop("A", "B")
        assert sum(log.committed(kafka, topic, "96-group").values()) == 10


CELL = """
from labsupport import lesson, reading
lab = lesson("96")
topic = lab.topic("orders", partitions=2)
with lab.members(topic, lab.group("kernel")) as team:
    team.start("A", "B")
    print(team.owners)
    team.freeze("B")
    print("frozen")
    team.start("C")
"""


def test_a_kernel_interrupted_in_a_rebalance_leaves_no_member_and_the_cell_runs_again(lab, kernel, no_member_is_left):
    """The frozen member too is gone, from the system and from the group."""
    notebook = kernel()
    assert notebook.interrupt(notebook.begin(CELL, "frozen"))["ename"] == "KeyboardInterrupt"
    until(lambda: no_member_is_left("96-kernel"), 300, "the members to be gone")
    again = notebook.run(CELL.replace('    team.freeze("B")\n    print("frozen")\n', ""))
    assert "{'A': [0], 'B': [1]}" in again
    assert "Error" not in again
    assert no_member_is_left("96-kernel")


def test_members_of_a_killed_kernel_end_and_the_next_run_works(lab, kernel, no_member_is_left, programs):
    """Also the frozen one; the group is free for the next run."""
    notebook = kernel()
    notebook.begin(CELL, "frozen")
    pids = [each.process.pid for each in programs(lab.settings)]
    assert len(pids) >= 2
    notebook.kill()
    again = kernel().run(CELL.replace('    team.freeze("B")\n    print("frozen")\n', ""))
    assert "{'A': [0], 'B': [1]}" in again
    assert "Error" not in again
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 300, "the members to be gone")
    assert no_member_is_left("96-kernel")


def test_a_member_ends_if_its_notebook_dies_before_it_has_started(lab, python, programs):
    """Its parent is killed at once, so the member never sees it."""
    topic, group = filled(lab), lab.group("orphan")
    code = (
        "import os, signal\n"
        "from labsupport.settings import Settings\n"
        "from labsupport.broker.cluster import connect\n"
        "from labsupport.experiments.breaking import members\n"
        f"with members.managed(connect(Settings.from_environment()), {topic!r}, {group!r}) as team:\n"
        "    team.start('A', settle=False)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert python(code).returncode == -signal.SIGKILL
    until(lambda: not programs(lab.settings), 300, "the member to end")


def test_members_with_a_policy_dead_letter_what_they_cannot_process(lab):
    """The policy's attempts, then a dead letter; later records are handled, and the member keeps running."""
    topic, group = filled(lab), lab.group("policy")
    dead = lab.dead_letters(topic)

    def handle(record):
        if record.value == b"7":
            raise ValueError("seven")

    with lab.members(topic, group, handle, policy=retry.Policy(attempts=3, wait_initial=0.01)) as team:
        team.start("A")
        team.wait(lambda _: lab.lag(topic, group).total == 0, "everything to be committed")
        assert len(team.history.of_kind("failed")) == 3
        assert len(team.history.handled()) == 29
    (letter,) = map(dead_letter.unwrap, log.read(lab, dead).records)
    assert (letter.value, letter.attempts, letter.group) == (b"7", 3, group)
