"""What the tests share: settings, brokers, kernels, the command line. The home they run in: see ../conftest.py."""

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import hypothesis
import psutil
import pytest
from click.testing import CliRunner
from jupyter_client import KernelManager

from labsupport.broker import background, owners, processes, startup_cache
from labsupport.broker.cluster import Cluster, connect
from labsupport.broker.identity import identity
from labsupport.broker.java_runtime import Runtime, prepare
from labsupport.commands import error_boundary, main
from labsupport.course import session
from labsupport.interrupts import INTERRUPTS
from labsupport.settings import CHECKOUT, Settings
from labsupport.waiting import until

# How long an example takes to find or to run says something about the machine only.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def leaves_the_process_as_it_was():
    """What a test leaves behind in its worker would make another one fail, somewhere else in the run."""

    def state() -> dict[str, object]:
        handlers = {each.name: signal.getsignal(each) for each in INTERRUPTS}
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        return {**handlers, "environment": environment, "folder": Path.cwd()}

    before, path = state(), [*sys.path]
    yield
    sys.path[:] = path  # to which a learner's file that is loaded adds its folder, for its neighbours
    assert state() == before


@pytest.fixture(scope="session")
def settings() -> Settings:
    """The settings of this test run: embedded, with a home of its own and the user's cache."""
    return Settings.from_environment()


@pytest.fixture(scope="session")
def runtime(settings) -> Runtime:
    """Java, jars and template, fetched if this is the first run."""
    ready = prepare(settings)
    startup_cache.start_in_background(ready)  # the suite starts some thirty brokers
    return ready


@pytest.fixture
def cluster(settings) -> Cluster:
    """The lab's own broker, up; clients are closed after the test."""
    with connect(settings) as cluster:
        yield cluster


@pytest.fixture
def elsewhere(monkeypatch, settings, tmp_path) -> Settings:
    """A second home, for tests that kill, wipe or race the background broker; what runs there is stopped."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    own = Settings.from_environment()
    yield own
    background.stop_all(own)


@pytest.fixture(scope="session")
def home_of_answers(tmp_path_factory, settings) -> Settings:
    """A home of this worker's for what solves exercises: the lessons' own run finds nothing solved."""
    own = dataclasses.replace(settings, home=tmp_path_factory.mktemp("answers").resolve())
    yield own
    background.stop_all(own)


@pytest.fixture(scope="module")
def own_home(home_of_answers) -> Settings:
    """The home of answers for the tests of one module; the lesson that they open is closed after them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(home_of_answers.home))
        yield home_of_answers
        session.close()


@pytest.fixture(scope="module")
def broker_elsewhere(runtime, tmp_path_factory):
    """Somebody else's Kafka: a broker that the lab under test knows by its address only.

    Not for the session: few modules need it, and an idle broker costs as much in three minutes as one that starts.
    """
    theirs = Settings(home=tmp_path_factory.mktemp("theirs"), cache=runtime.settings.cache)
    embedded = background.private(theirs)
    yield embedded
    embedded.destroy()


@pytest.fixture(scope="session")
def programs():
    """`programs(settings)`: the members, services and trials of this home that run, without their fork servers.

    A server's parent is the program that owns it, a forked child's is the server.
    """

    def run(settings: Settings) -> list[processes.Running]:
        found = []
        for each in processes.running(settings, ["program"]):
            with contextlib.suppress(psutil.NoSuchProcess):
                if psutil.Process(each.process.pid).ppid() != each.owner:
                    found.append(each)
        return found

    return run


@pytest.fixture
def python(tmp_path):
    """Run a Python program in a process of its own: `python(code, **environment)` gives the finished process."""

    def run(code: str, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture
def header_name():
    """Make a header's name that kafka-python sends as just these bytes, as clients of other languages can."""

    class Name(str):
        __slots__ = ("raw",)

        def encode(self, *_):
            return self.raw

    def named(raw: bytes) -> str:
        name = Name(raw.decode(errors="replace"))
        name.raw = raw
        return name

    return named


class Kernel:
    """A real kernel, as JupyterLab starts one."""

    def __init__(self):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel(env=dict(os.environ), stderr=-3)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=300)

    def run(self, code: str, timeout: float = 300) -> str:
        """Run a cell; returns everything it printed, and the error if it raised one."""
        printed = []

        def keep(message):
            content = message["content"]
            printed.append(content.get("text") or "\n".join(content.get("traceback", [])))

        self.client.execute_interactive(code, timeout=timeout, output_hook=keep, allow_stdin=False)
        return "".join(printed)

    def begin(self, code: str, word: str) -> str:
        """Start a cell, and return its message's id when it has printed `word`.

        The cell says itself where it is: an interrupt between the kernel's "busy" and the cell's first line is lost.
        """
        begun = self.client.execute(code, allow_stdin=False)
        while word not in self.client.get_iopub_msg(timeout=300)["content"].get("text", ""):
            pass
        return begun

    def interrupt(self, begun: str) -> dict:
        """Interrupt the cell of that message, as the square button does; what the kernel replies about it."""
        self.manager.interrupt_kernel()
        while (reply := self.client.get_shell_msg(timeout=300))["parent_header"].get("msg_id") != begun:
            pass
        return reply["content"]

    def kill(self):
        """SIGKILL, as the system does when memory runs out.

        Not by the manager alone: its shutdown interrupts the cell first, which may then tidy up.
        """
        self.client.stop_channels()
        psutil.Process(self.manager.provisioner.pid).kill()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel():
    """`kernel()` starts a real kernel; all are killed after the test."""
    running = []

    def start() -> Kernel:
        running.append(Kernel())
        return running[-1]

    yield start
    for each in running:
        if each.manager.is_alive():
            each.kill()


@pytest.fixture
def typed():
    """The command line in a process of its own: `typed("status", "--json", LAB_KAFKA=…)` gives the finished process."""

    def run(*words: str, timeout: float = 300, stdin: str = "", **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "labsupport", *words],
            env={**os.environ, **environment},
            cwd=CHECKOUT,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture
def lab():
    """The command line in this process, as `typed`: a new Python for each command takes a second of a processor.

    Of each command one test at least has a real process.
    """

    def run(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess:
        before = set(sys.modules)
        with CliRunner().isolation(stdin, environment) as (output, errors, _):
            mine = Settings.from_environment() if not environment.get("LAB_KAFKA") else None
            owned = mine and any(owner.identity == identity() for owner in owners.read(mine.home))
            code = error_boundary.outcome(main.lab, words)
            if mine and not owned:  # a program that has ended owns nothing
                processes.unregister(mine)
        _forget_learners_files(before)
        return subprocess.CompletedProcess(words, code, output.getvalue().decode(), errors.getvalue().decode())

    return run


def _forget_learners_files(before: set[str]) -> None:
    """Forget the modules that a command has loaded from a test's folder: a program that has ended has none."""
    ours = (sys.prefix, sys.base_prefix, str(CHECKOUT / "labsupport"))
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and not file.startswith(ours):
            del sys.modules[name]


class Started:
    """`python3 lab.py --no-browser`, running."""

    def __init__(self, home, *words, **environment):
        self.log = home.parent / f"start-{uuid.uuid4().hex}.log"
        with self.log.open("wb") as log:
            self.program = subprocess.Popen(
                [sys.executable, "-m", "labsupport", "--no-browser", *words],
                env={**os.environ, **environment},
                cwd=CHECKOUT,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    def address(self) -> str:
        """JupyterLab's address with its token, when it is printed."""
        until(lambda: "token=" in self.text or self.program.poll() is not None, 300, "JupyterLab's address")
        found = re.search(r"(http://\S+?)/lab/tree/work/home\.md\?token=(\w+)", self.text)
        assert found, self.text
        return found


@pytest.fixture
def start(elsewhere):
    """`start(…)` runs `python3 lab.py`; what it started is stopped after the test."""
    running = []

    def run(*words, **environment) -> Started:
        running.append(Started(elsewhere.home, *words, **environment))
        return running[-1]

    yield run
    for each in running:
        each.program.kill()
        each.program.wait()
