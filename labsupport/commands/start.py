"""`python3 lab.py`: Kafka up, one event out and back, JupyterLab open; Ctrl-C ends what this started."""

import contextlib
import json
import os
import signal
import sys
import webbrowser
from collections.abc import Iterator
from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir
from rich.console import Console

from labsupport.base import CHECKOUT, LabError, Settings, until
from labsupport.broker import background
from labsupport.broker.cluster import Cluster, connect
from labsupport.broker.process import Process, marks
from labsupport.commands.proof import round_trip
from labsupport.course.copies import make_copies

FIRST = "work/00_start_here.ipynb"
console = Console(highlight=False)


def start(settings: Settings, *, browser: bool = True, port: int | None = None) -> None:
    """Do all of it, and return when JupyterLab has ended, whoever ended it."""
    # Without a display a browser would be a text one that takes over the terminal.
    display = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    browser = browser and bool(display)
    if (already := _jupyter(settings)) and (address := _address(already.pid)):
        console.print(f"JupyterLab of this lab is already running:\n\n  {address}\n", soft_wrap=True)
        if browser:
            webbrowser.open(address)
        return
    with _signals(), _kafka(settings) as cluster:
        seconds = round_trip(cluster)
        console.print(f"Kafka is up at [bold]{cluster.bootstrap}[/]. One event out and back: {seconds:.1f} s.")
        make_copies()
        with _jupyter_lab(settings, port) as (process, address):
            console.print(f"\nJupyterLab:\n\n  [bold]{address}[/]\n", soft_wrap=True)
            console.print("Ctrl-C here ends it, and the Kafka that this command started. Your work is in work/.")
            if browser:
                webbrowser.open(address)
            process.wait()
    console.print("Ended.")


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """A closed terminal or a `kill` ends the lab as Ctrl-C does; while it cleans up, nothing interrupts it."""

    def interrupt(_number: int, _frame: object) -> None:
        for each in caught:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    caught = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {each: signal.signal(each, interrupt) for each in caught}
    try:
        yield
    except KeyboardInterrupt:
        console.print("\nEnding …")
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _kafka(settings: Settings) -> Iterator[Cluster]:
    """The cluster for the body of a `with`; afterwards the broker is stopped if it was started here."""
    was_up = settings.embedded and background.find(settings) is not None
    try:
        with connect(settings) as cluster:
            yield cluster
    finally:
        if settings.embedded and not was_up:
            ours = [each for each in background.running(settings) if each.role in ("background", "training")]
            background.stop(ours)


@contextlib.contextmanager
def _jupyter_lab(settings: Settings, port: int | None) -> Iterator[tuple[Process, str]]:
    """JupyterLab on the learner's copies, and its address, for the body of a `with`."""
    options = [f"--ServerApp.root_dir={CHECKOUT}", f"--LabApp.default_url=/lab/tree/{FIRST}", "--no-browser"]
    # Nothing leaves the machine: overrides.json says no to the news feed and to the check for updates.
    options.append(f"--LabApp.app_settings_dir={Path(__file__).with_name('jupyterlab')}")
    if port is not None:
        options += [f"--port={port}", "--ServerApp.port_retries=0"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")  # containers; the token still protects it
    words = [word for mark in marks(settings, "jupyter") for word in ("-X", mark)]
    log = settings.home / "jupyter.log"
    log.unlink(missing_ok=True)
    process = Process.start("JupyterLab", [sys.executable, *words, "-m", "jupyterlab", *options], log, cwd=CHECKOUT)
    try:
        address = until(lambda: not process.alive or _address(process.pid), 60, "JupyterLab to answer")
        if address is True:
            raise LabError(
                "JupyterLab did not start.",
                process.tail(6),
                "is the port taken? python3 lab.py --port 8899" if port else f"the whole log: {log}",
            )
        yield process, address
    finally:
        process.stop(15)


def _jupyter(settings: Settings) -> Process | None:
    return next((each.process for each in background.running(settings) if each.role == "jupyter"), None)


def _address(pid: int) -> str:
    """The address with its token, from the file that the server writes when it listens; empty before that."""
    try:
        server = json.loads(Path(jupyter_runtime_dir(), f"jpserver-{pid}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return f"{server['url']}lab/tree/{FIRST}?token={server['token']}"
