"""Child processes forked from a server that has imported the client: they start fast and leave nothing."""

import os
import signal
import time
from pathlib import Path

import pytest

from labsupport.broker import processes
from labsupport.errors import LabError
from labsupport.experiments.breaking import forkserver
from labsupport.experiments.breaking.forkserver import ForkServer
from labsupport.waiting import until


def test_a_forked_child_behaves_like_a_new_python(own_home):
    """Output, exit code, returned value; it can be frozen, woken and killed."""
    with ForkServer() as forkserver:
        with forkserver.start(lambda: print("hello") or os.getppid()) as first:
            completed = first.wait(300)
        assert (completed.printed, completed.exit_code, completed.returned) == ("hello\n", 0, forkserver.process.pid)
        with forkserver.start(lambda: 1 / 0, name="divides") as second:
            completed = second.wait(300)
        assert (completed.exit_code, completed.returned) == (1, None)
        assert "ZeroDivisionError" in completed.printed
        with forkserver.start(time.sleep, 600) as third:
            third.process.pause()
            assert third.process.paused
            third.process.resume()
            third.process.kill()
            assert third.wait(300).exit_code == -signal.SIGKILL
        with forkserver.start(time.sleep, 600) as fourth:
            pass
        assert not fourth.process.alive
        with pytest.raises(LabError, match="did not happen"), forkserver.start(time.sleep, 600) as fifth:
            fifth.wait(0.1)
    assert not processes.running(own_home, ["program"])


def test_a_child_whose_server_was_killed_too_counts_as_killed(own_home):
    """Nobody is left who knows its exit code; the next call starts another server."""
    first = forkserver.shared()
    with first.start(time.sleep, 600) as child:
        first.process.kill()
        child.process.kill()
        assert child.wait(300).exit_code == -signal.SIGKILL
    assert forkserver.shared().run(lambda: 7).returned == 7
    forkserver.close_shared()
    assert not processes.running(own_home, ["program"])


def test_a_process_has_one_server_and_so_have_its_children(own_home, tmp_path, monkeypatch):
    """A child has the folder and the environment of the moment, and asks the same server for children of its own."""
    server = forkserver.shared()
    assert forkserver.shared() is server
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_WORD", "later")
    child = server.run(lambda: (str(Path.cwd()), os.environ["LAB_WORD"], forkserver.shared().run(os.getppid).returned))
    assert child.returned == (str(tmp_path), "later", server.process.pid), child.printed
    forkserver.close_shared()
    assert not processes.running(own_home, ["program"])


def test_what_a_child_has_started_ends_with_it(own_home):
    """A check that takes too long is killed, and its trials with it."""

    def waits_for_another():
        with forkserver.shared().start(time.sleep, 600) as inner:
            print(inner.process.pid, flush=True)
            time.sleep(600)

    with forkserver.shared().start(waits_for_another) as outer:
        until(lambda: outer.printed.strip(), 300, "the inner one")
        assert len(processes.running(own_home, ["program"])) == 3
    until(lambda: len(processes.running(own_home, ["program"])) == 1, 300, "both to end", every=0.1)
    forkserver.close_shared()


def test_the_children_of_a_killed_notebook_end(own_home, kernel):
    """The server ends with its notebook, and so do its children."""
    dead = kernel()
    dead.client.execute(
        "import time; from labsupport.experiments.breaking.forkserver import ForkServer\n"
        "with ForkServer() as forkserver, forkserver.start(time.sleep, 600): time.sleep(600)"
    )
    until(lambda: len(processes.running(own_home, ["program"])) == 2, 300, "the program to run", every=0.1)
    dead.kill()
    until(lambda: not processes.running(own_home, ["program"]), 300, "both to be gone", every=0.1)
