"""Whoever starts something takes it along, however it ends: killed, at any moment, on a busy machine too."""

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from labsupport.broker import background, owners, processes, temporary_homes
from labsupport.broker.cluster import connect, private
from labsupport.broker.identity import identity, lives
from labsupport.broker.process import Process
from labsupport.broker.processes import WATCHDOG
from labsupport.broker.watchdog import Watchdog
from labsupport.commands.soak_kills import WITNESS, descendants
from labsupport.settings import CHECKOUT
from labsupport.waiting import until

SELDOM = 0.25  # s between two looks at all processes of this machine, of which each costs some hundredths of a second

USES_ALL = """
import sys, time
from labsupport.settings import Settings
from labsupport.broker.cluster import connect, private
from labsupport.experiments.breaking import python_process
from labsupport.registry import registry
settings = Settings.from_environment()
kafka = connect(settings)
registry.start(settings, kafka.bootstrap, "94-schemas")
with private(1, settings), python_process.start(time.sleep, 600):
    print("ready", flush=True)
    sys.stdin.read()
"""
OWN_BROKER = """
import sys
from labsupport.settings import Settings
from labsupport.broker.cluster import private
with private(1, Settings.from_environment()):
    print("ready", flush=True)
    sys.stdin.read()
"""
USES_BROKER = OWN_BROKER.replace("import private", "import connect").replace("private(1, ", "connect(")

HAS_KERNEL = """
import sys
from jupyter_client import KernelManager
manager = KernelManager(kernel_name="python3")
manager.kernel_spec.argv[0] = sys.executable
manager.start_kernel()
client = manager.blocking_client()
client.start_channels()
client.execute_interactive("from labsupport import lesson; lab = lesson('94')", output_hook=lambda _: None)
print("ready", flush=True)
sys.stdin.read()
"""


class Program:
    """A Python program in a home of its own, or in that of another one, and all that descends from it."""

    def __init__(self, words: list[str], home: Path):
        self.word = uuid.uuid4().hex
        self.popen = subprocess.Popen(
            [sys.executable, *words], cwd=CHECKOUT, env={**os.environ, WITNESS: self.word, "LAB_HOME": str(home)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip

    def ready(self) -> "Program":
        """Wait until it says that it is."""
        assert self.popen.stdout.readline() == "ready\n"
        return self

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.popen.kill()
        self.popen.wait()

    def left(self, *roles: str) -> list[psutil.Process]:
        """What runs of it; in these roles, if any are given."""
        found = []
        for process in descendants(self.word):
            with contextlib.suppress(psutil.Error):
                if not roles or processes.read_marks(process.cmdline()).get("lab.role") in roles:
                    found.append(process)
        return found

    def wait_until_nothing_is_left(self) -> None:
        """Ten seconds on a machine that has time; here it may have none."""
        until(lambda: not self.left(), 300, "everything to end", every=SELDOM)


@pytest.fixture
def begin(tmp_path):
    """`begin(code)` starts a program; what is left of it after the test is killed."""
    begun = []

    def run(code: str = "", home: str = "a home", words: tuple[str, ...] = ()) -> Program:
        begun.append(Program([*words] or ["-c", code], tmp_path / home))
        return begun[-1]

    yield run
    for program in begun:
        program.kill()
        for process in program.left():
            with contextlib.suppress(psutil.Error):
                process.kill()


@pytest.mark.parametrize("seed", range(4))
def test_a_program_that_is_killed_at_a_random_moment_leaves_nothing(seed, begin):
    """While it starts a broker, a private one, a program; in every home that it used."""
    program = begin(USES_ALL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.popen.wait(random.Random(seed).uniform(0, 4))
    program.kill()
    program.wait_until_nothing_is_left()


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_nor_if_it_is_killed_before_it_knows_what_it_has_started(nth, begin):
    """The first is the watchdog, then the shared broker, then a private one: each runs, and nobody has noted it."""
    dying = (
        "import os; from labsupport.broker.process import Process\n"
        "real, times = Process.record, []\n"
        "def record(process, path):\n"
        "    times.append(path.name not in ('owner.json',))\n"
        f"    os.kill(os.getpid(), 9) if sum(times) == {nth} else real(process, path)\n"
        "Process.record = record\n"
    )
    program = begin(dying + USES_ALL)
    assert program.popen.wait(300) == -signal.SIGKILL
    program.wait_until_nothing_is_left()


def test_what_is_frozen_ends_with_its_owner_and_a_frozen_owner_lives(begin):
    """Of two owners in one home one is frozen, the other killed: so we know that the watchdog has looked at both."""
    asleep, dead = begin(OWN_BROKER).ready(), begin(OWN_BROKER).ready()
    asleep.popen.send_signal(signal.SIGSTOP)
    for process in dead.left("private"):
        process.suspend()
    dead.kill()
    until(lambda: not dead.left("private"), 300, "the frozen broker to end", every=SELDOM)
    assert len(asleep.left("private")) == 1
    asleep.kill()
    asleep.wait_until_nothing_is_left()
    dead.wait_until_nothing_is_left()


def test_the_shared_broker_ends_with_the_last_who_uses_it(begin):
    """The one that started it is killed, and what it had for itself has gone: the broker serves the other."""
    first = begin(USES_ALL).ready()
    second = begin(USES_BROKER).ready()
    assert not second.left("background")
    roles = ("private", "private-registry", "program")
    assert {*roles} == {processes.read_marks(each.cmdline())["lab.role"] for each in first.left(*roles)}
    first.kill()
    until(lambda: not first.left(*roles), 300, "what was the first one's to end", every=SELDOM)
    assert len(first.left("background")) == 1
    second.kill()
    first.wait_until_nothing_is_left()
    second.wait_until_nothing_is_left()


def test_up_keeps_the_broker_and_a_frozen_one_too(elsewhere, typed):
    """The watchdog has gone, since nobody is left to watch. A program that finds the broker frozen does not end it."""
    assert typed("up").returncode == 0
    until(lambda: not processes.running(elsewhere, [WATCHDOG]), 300, "the watchdog to go", every=SELDOM)
    with connect(elsewhere) as kafka:
        kafka.broker(1).pause()
        pid = kafka.broker(1).process.pid
    with connect(elsewhere) as kafka:
        background.release(elsewhere)
        assert kafka.broker(1).process.pid == pid
    assert typed("down").returncode == 0
    assert not processes.running(elsewhere)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_kernel_ends_with_the_program_that_started_it(frozen, begin):
    """With its broker; also a frozen kernel, whose own look at its parent is frozen too."""
    program = begin(HAS_KERNEL).ready()
    if frozen:
        (kernel,) = [each for each in program.left() if "ipykernel_launcher" in each.cmdline()]
        kernel.suspend()
    program.kill()
    program.wait_until_nothing_is_left()


def test_a_command_ends_with_lab_py_where_that_is_another_process(begin):
    """As on Windows, which has no exec."""
    code = (
        "import os, subprocess, sys\n"
        "command = [sys.executable, '-m', 'labsupport', '--no-browser']\n"
        "subprocess.Popen(command, stdout=-3, env={**os.environ, 'LAB_STARTED_BY': str(os.getpid())}).wait()\n"
    )
    program = begin(code)
    until(lambda: program.left("jupyter"), 300, "JupyterLab", every=SELDOM)
    program.kill()
    program.wait_until_nothing_is_left()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL", "Ctrl-C"])
def test_a_test_run_that_is_ended_leaves_no_process_and_no_file(how, begin, tmp_path, monkeypatch):
    """A signal to `lab.py test` alone, or to all that a terminal's Ctrl-C reaches; its workers have brokers by then."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    files = ("tests/kafka/test_members.py", "tests/kafka/test_worker.py")  # one for each worker
    suite = ("-m", "labsupport", "test", "-n", "2", "-q", *files)
    program = begin(words=suite)
    until(lambda: len(program.left("background")) == 2, 300, "two brokers", every=SELDOM)
    if how == "Ctrl-C":
        os.killpg(program.popen.pid, signal.SIGINT)
    else:
        program.popen.send_signal(getattr(signal, how))
    until(lambda: program.popen.poll() is not None, 300, "pytest to end")
    program.wait_until_nothing_is_left()
    assert list(temporary.iterdir()) == []


def test_the_libraries_of_a_broker_unpack_in_its_own_folder(settings):
    """Not in the machine's temporary folder, where those of a killed one would stay."""
    with private(1, settings=settings) as kafka:
        folder = kafka.broker(1).folder / "tmp"
        for codec in ("snappy", "lz4"):
            topic = kafka.create_topic(f"90-{codec}", compression_type=codec)
            kafka.producer(name="P").send(topic, b"x" * 1000).get(timeout=300)
        unpacked = {path.name.partition("-")[0] for path in folder.iterdir()}
        assert {"snappy", "liblz4"} <= unpacked
        kafka.broker(1).kill()
        assert not folder.exists()
        kafka.broker(1).start()


def test_a_temporary_home_whose_owner_and_watchdog_were_killed_goes_with_the_next(monkeypatch, tmp_path):
    """And one whose owner lives stays."""
    for name in ("LAB_HOME", "TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    dead, alive = tmp_path / "lab-999999999-1.x-abc", tmp_path / f"lab-{identity().replace(':', '-')}-abc"
    for folder in (dead, alive):
        (folder / "broker").mkdir(parents=True)
    with temporary_homes.temporary("lab-") as home:
        assert not dead.exists()
        assert alive.exists()
        assert os.environ["LAB_HOME"] == str(home)
    assert not home.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a start time is a date")
def test_a_pid_of_an_earlier_boot_is_nobodys(tmp_path):
    """The number and the ticks since boot can be the same by chance; the boot is not."""
    assert lives(identity())
    ticks = identity().rpartition(".")[0]
    assert not lives(f"{ticks}.00000000")
    Process("x", os.getpid(), f"{ticks.partition(':')[2]}.00000000", tmp_path).record(tmp_path / "x.json")
    assert Process.recorded(tmp_path / "x.json") is None


def test_a_watchdog_that_was_killed_is_replaced_when_something_is_started(elsewhere):
    """And there is one, however often somebody registers."""
    processes.register(elsewhere)
    processes.register(elsewhere)
    (watchdog,) = processes.running(elsewhere, [WATCHDOG])
    watchdog.process.kill()
    processes.marks(elsewhere, "program")
    (other,) = processes.running(elsewhere, [WATCHDOG])
    assert other.process.pid != watchdog.process.pid


def test_a_damaged_file_of_an_owner_is_none(tmp_path):
    """A full disk, or somebody's editor."""
    (tmp_path / "owners").mkdir()
    for number, text in enumerate(["", "[", "{}", '["1:2", true, "", 4]']):
        (tmp_path / "owners" / f"{number}-1").write_text(text)
    assert list(owners.read(tmp_path)) == []


def test_a_watchdog_that_comes_late_ends_the_broker_all_the_same(elsewhere):
    """On a busy machine the time between two looks may be longer than all that it waits for."""
    with connect(elsewhere):
        pass
    (real,) = processes.running(elsewhere, [WATCHDOG])
    real.process.pause()
    processes.unregister(elsewhere)
    ours = Watchdog(elsewhere.home, clock=itertools.count(0, 1000).__next__)
    while ours.look():
        pass
    assert not processes.running(elsewhere, ["background"])
    real.process.kill()
