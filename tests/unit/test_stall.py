"""The stall witness, and what is decided from what it sees. Decisions are tested on measurements, not on a clock."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsupport.course import stall
from labsupport.course.outcomes import Busy
from labsupport.course.sandbox import used_up
from labsupport.course.stall import PAUSE, WORK, Beat, Machine
from labsupport.course.submission import Submission
from labsupport.waiting import until

PROMPT = Beat(PAUSE + WORK, 0.0, WORK, 0.0)


def machine(*beats: Beat) -> Machine:
    """A machine of which the witness has seen that."""
    seen = Machine()
    for beat in beats:
        seen.saw(beat)
    return seen


def test_a_machine_with_nothing_else_to_do_makes_nothing_doubtful():
    """An hour of it; nor does a verdict that does not depend on time become doubtful on any machine."""
    calm = machine(*[PROMPT] * 90_000)
    assert (calm.worst, calm.lost, calm.stood_still(0.0)) == (0.0, 0.0, False)
    assert not calm.makes_doubtful(True)
    assert not machine(Beat(9.0, 8.0, WORK, 0.0)).makes_doubtful(False)


def test_one_long_stall_is_measured_against_what_the_judge_allowed():
    """A lid that was closed, a machine that swaps: a quarter of the time allowed is too much."""
    stalled = machine(*[PROMPT] * 1000, Beat(0.8, 0.75, WORK, 0.0))
    assert 0.7 < stalled.worst < 0.75
    assert stalled.makes_doubtful(True)
    assert stalled.makes_doubtful(2.0)
    assert not stalled.makes_doubtful(10.0)


def test_a_machine_that_is_slow_all_the_time_is_seen_by_what_its_work_takes():
    """Waking up is quick, and then a tenth of a processor is left: no long stall, and all takes ten times as long."""
    slow = machine(*[Beat(0.06, 0.001, 0.02, 0.0)] * 200)
    assert slow.worst < 0.02
    assert slow.busy > 0.85
    assert slow.makes_doubtful(2.0)


def test_what_the_process_itself_used_is_not_the_machines_fault():
    """Code in C that holds Python's lock for three seconds; on a machine that gave it a tenth only, nine tenths are."""
    assert machine(Beat(3.1, 3.0, WORK, 3.05)).worst < 0.1
    assert 2.5 < machine(Beat(3.1, 3.0, WORK, 0.31)).worst < 2.8


@given(st.lists(st.tuples(*[st.floats(0, 100)] * 3), max_size=20))
def test_what_was_lost_is_never_more_than_what_was_watched(measured):
    """Whatever clocks say."""
    seen = machine(*[Beat(PAUSE + late + work, late, work, used) for late, work, used in measured])
    assert 0 <= seen.lost <= seen.watched + 1e-9
    assert 0 <= seen.busy <= 1


@pytest.mark.parametrize(
    ("used", "wall", "busy", "what"),
    [
        (2.9, 2.9, 0.0, ""),
        (3.0, 3.0, 0.0, "processor"),
        (2.9, 29.0, 0.9, ""),  # six busy loops on two cores: it computes less than allowed, and takes ten times as long
        (3.1, 31.0, 0.9, "processor"),
        (0.1, 7.9, 0.0, ""),  # a thousand commits to a slow disk
        (0.0, 8.1, 0.0, "waiting"),
        (0.0, 100.0, 0.95, ""),
        (0.0, 200.0, 0.95, "waiting"),  # a sleep is found on a busy machine too
    ],
)
def test_an_answers_time_is_what_it_used_and_what_it_waited(used, wall, busy, what):
    """3 s of the processor, and 5 s more of waiting; time that the machine gave to others does not count."""
    assert used_up(3.0, used, wall, busy) == what


def test_busy_says_how_long_and_during_what():
    """No accusation, and what to do."""
    fields = Busy(while_="B was starting", seconds=1.84).fields
    assert fields["says"] == "Not your fault: this machine stood still for 1.8 s while B was starting."
    assert "run this cell again" in fields["look_at"]


STOPPED = """
import sys, time
from labsupport.course import stall
from labsupport.course.submission import Submission
with stall.witness() as machine:
    print("watching", flush=True)
    sys.stdin.readline()
print(machine.worst)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")
def test_a_process_that_was_stopped_knows_for_how_long():
    """At least the observed stop counts, even if the body of the `with` ends right after waking."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "watching\n"
        os.kill(process.pid, signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        begin = time.monotonic()
        until(lambda: time.monotonic() - begin > 0.7, 300, "0.7 s")
        stopped = time.monotonic() - begin
        os.kill(process.pid, signal.SIGCONT)
        worst = float(process.communicate("\n", timeout=300)[0])
    assert worst > stopped - 0.1


WAITS = """
import sys, time
from labsupport.course import sandbox
from labsupport.course.submission import Submission

def f(x):
    print("waiting", file=sys.stderr, flush=True)
    time.sleep(0.3)
    return x

sandbox.WAITING = 0.5
print(Submission(f, "f(x)", 0.5)(1, returns=int))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")
def test_an_answer_that_was_stopped_is_not_called_endless():
    """Stopped for twice as long as it may wait: the alarm rings at once when it goes on, and has to be patient."""
    with subprocess.Popen(
        [sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr.readline() == "waiting\n"
        os.kill(process.pid, signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        begin = time.monotonic()
        until(lambda: time.monotonic() - begin > 2, 300, "2 s")
        os.kill(process.pid, signal.SIGCONT)
        assert process.communicate(timeout=300)[0] == "1\n"


def test_an_import_is_no_loop_that_never_ends(tmp_path, monkeypatch):
    """A library that computes while it is imported, as numpy does on a cold machine: for longer than the answer may."""
    (tmp_path / "slow_to_import.py").write_text(
        "import time\nbegin = time.thread_time()\nwhile time.thread_time() - begin < 1.0: pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def f(x):
        import slow_to_import

        return x + bool(slow_to_import) - 1

    answer = Submission(f, "f(x)", 0.5)
    assert answer(1, returns=int) == 1


def test_witnesses_are_nested_and_leave_no_thread():
    """Each sees what happened in its own body; a stall in the inner one is one in the outer."""
    with stall.witness() as outer, stall.witness() as inner:
        until(lambda: inner.watched, 300, "a look")
    assert outer.watched >= inner.watched > 0
    until(lambda: "stall witness" not in [each.name for each in threading.enumerate()], 300, "the thread to end")
