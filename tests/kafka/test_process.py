"""One supervised process: real ones, small ones."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from labsupport.broker import processes
from labsupport.broker.process import Process, started
from labsupport.errors import LabError
from labsupport.interrupts import interrupts_wait
from labsupport.ports import HOST
from labsupport.settings import CHECKOUT
from labsupport.waiting import until

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""
HOLDING = """
import ctypes, socket, threading, time
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=time.sleep, args=[600]).start()
print("ready", listener.getsockname()[1], flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""
GENTLE = 'print("ready", flush=True); import time; time.sleep(600)'


@pytest.fixture
def start(tmp_path):
    """Start a Python program as the lab starts processes, and wait for its first word."""
    running = []

    def run(code: str, wait: bool = True) -> Process:
        log = tmp_path / f"{len(running)}.log"
        running.append(Process.start("a test process", [sys.executable, "-c", code], log, cwd=tmp_path))
        if wait:
            until(lambda: "ready" in log.read_text(), 300, "the first word")
        return running[-1]

    yield run
    for process in running:
        process.kill()


def test_stop_ends_a_process_and_doing_it_twice_is_harmless(start):
    """SIGTERM is enough for a well-behaved one; it is reaped."""
    process = start(GENTLE)
    assert process.alive
    process.stop()
    process.stop()
    assert not process.alive
    assert process.popen.poll() == -signal.SIGTERM
    assert started(process.pid) is None


def test_a_process_that_ignores_sigterm_is_killed(start):
    """After the deadline it gets SIGKILL."""
    process = start(STUBBORN)
    process.stop(deadline=0.2)
    assert not process.alive
    assert process.popen.poll() == -signal.SIGKILL


def test_a_frozen_process_can_be_woken_and_stopped(start):
    """Pause, resume, and stop while paused."""
    process = start(GENTLE)
    process.pause()
    assert process.paused
    assert process.alive
    process.resume()
    assert not process.paused
    process.pause()
    process.stop(deadline=300)
    assert process.popen.poll() == -signal.SIGTERM  # it was woken to hear it, not killed


def test_another_program_finds_a_process_by_its_record(start, tmp_path):
    """The record is enough to see it and to stop it; afterwards the record names nobody."""
    process = start(GENTLE)
    process.record(tmp_path / "p.json")
    found = Process.recorded(tmp_path / "p.json")
    assert found == process
    found.stop()
    assert Process.recorded(tmp_path / "p.json") is None


def test_a_stale_record_never_points_at_somebody_elses_process(start, tmp_path):
    """The pid now belongs to another process: it counts as gone and is not signalled."""
    stranger = start(GENTLE)
    record = tmp_path / "stale.json"
    stranger.record(record)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"began": "12345"}))
    assert Process.recorded(record) is None
    stale = Process("stale", stranger.pid, "12345", stranger.log)
    for signalled in (stale.stop, stale.kill, stale.pause):
        signalled()
    assert stranger.alive
    assert not stranger.paused


def test_a_process_that_was_started_has_its_command_line(tmp_path):
    """By its words the lab finds it: at once, each time."""
    waits = [sys.executable, "-c", "import time; time.sleep(300)"]
    for number in range(50):
        process = Process.start("one of many", [*waits, f"{number}"], tmp_path / "log", cwd=tmp_path)
        words = psutil.Process(process.pid).cmdline()
        process.kill()
        process.popen.wait()
        assert words == [*waits, f"{number}"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"name": "x", "pid": "y", "began": "", "log": ""}'])
def test_a_damaged_record_counts_as_none(text, tmp_path):
    """A record cut off by a full disk or a crash is not an error."""
    (tmp_path / "p.json").write_text(text)
    assert Process.recorded(tmp_path / "p.json") is None


def test_a_zombie_counts_as_gone():
    """Dead and not yet reaped by its parent: nothing to wait for."""
    popen = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: psutil.Process(popen.pid).status() == psutil.STATUS_ZOMBIE, 300, "the process to end")
    assert started(popen.pid) is None
    popen.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="there a process has a state of its own for this")
def test_a_process_whose_threads_still_end_is_not_gone_yet(start):
    """Its first thread is dead, and another one still has its port: only when that one has ended is it free."""
    process = start(HOLDING)
    port = int(process.tail(1).split()[1])
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, 300, "the first thread to end")
    assert process.alive
    with contextlib.closing(socket.socket()) as early, pytest.raises(OSError, match="in use"):
        early.bind((HOST, port))
    process.kill()
    with contextlib.closing(socket.socket()) as after:
        after.bind((HOST, port))


def test_the_end_of_the_log_is_kept(start):
    """Both streams go to one file, whose last lines an error can show."""
    process = start("import sys; print('ready', flush=True); sys.exit('broken: no disk')")
    until(lambda: not process.alive, 300, "the process to end")
    assert process.tail(1) == "broken: no disk"


def test_a_program_that_does_not_exist_is_a_sentence(tmp_path):
    """The error names the program and how to repair the lab."""
    with pytest.raises(LabError, match="Could not start nothing") as caught:
        Process.start("nothing", [str(tmp_path / "java")], tmp_path / "log", cwd=tmp_path)
    assert "java" in caught.value.seen


def test_a_process_has_a_session_of_its_own(start):
    """Ctrl-C in a terminal goes to the terminal's session; a broker must not hear it."""
    assert os.getsid(start(GENTLE).pid) != os.getsid(0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_an_interrupt_waits_until_a_new_process_is_known(start):
    """Otherwise nobody would know of it, and nobody would end it. Several come as one."""
    running = []
    with pytest.raises(KeyboardInterrupt), interrupts_wait():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        running.append(start(GENTLE))
    assert running[0].alive
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
@pytest.mark.parametrize(("role", "count"), [("jupyter", 1), ("program", 2)])
def test_what_has_just_been_forked_counts_once(elsewhere, role, count):
    """A child has its parent's command line until it becomes another program; a fork server's stays as it is."""
    marks = processes.python_marks(elsewhere, role)
    forks = "import os, time; print('forked' if os.fork() else '', flush=True); time.sleep(300)"
    process = Process.start("forks", [sys.executable, *marks, "-c", forks], elsewhere.home / "forks.log", cwd=CHECKOUT)
    try:
        until(lambda: "forked" in process.tail(), 300, "the fork")
        assert [each.role for each in processes.running(elsewhere, [role])] == [role] * count
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.popen.wait()
