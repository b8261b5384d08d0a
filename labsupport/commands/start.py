"""`python3 lab.py`: start Kafka, send and receive an event, open JupyterLab; Ctrl-C ends what this started."""

import contextlib
import http
import http.client
import json
import os
import sys
import webbrowser
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_core.paths import SYSTEM_CONFIG_PATH, jupyter_config_dir
from rich.console import Console

from labsupport.broker import background, processes
from labsupport.broker.process import Process
from labsupport.broker.processes import python_marks
from labsupport.commands.round_trip import round_trip
from labsupport.commands.terminal import kafka_meanwhile, take_along
from labsupport.course.copies import make_copies
from labsupport.errors import LabError
from labsupport.settings import Settings
from labsupport.setup.sources import writable
from labsupport.waiting import only_one, until

console = Console(highlight=False)


def start(settings: Settings, *, browser: bool = True, port: int | None = None, ip: str = "localhost") -> None:
    """Do all of it, and return when JupyterLab has ended; it listens at `ip`."""
    if find_spec("jupyterlab") is None:
        raise LabError(
            "JupyterLab is not installed.",
            f"the package labsupport was installed without its extra, for {sys.executable}",
            f"{sys.executable} -m pip install jupyterlab; or open {settings.work} with your own Jupyter",
        )
    # Without a display, webbrowser may open a text browser that takes over the terminal.
    display = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    open_browser = webbrowser.open if browser and display else lambda _: None
    try:
        with contextlib.ExitStack() as stack:
            # One lab.py at a time starts a JupyterLab; the next one finds it.
            with only_one(settings.home / "jupyter.lock", "starting JupyterLab", timeout=300):
                make_copies(settings.work)
                take_along(settings)
                if address := _running_already(settings):
                    console.print(f"JupyterLab of this lab is already running:\n\n  {address}\n", soft_wrap=True)
                    open_browser(address)
                    return
                cluster = stack.enter_context(kafka_meanwhile(settings))
                seconds = round_trip(cluster)
                console.print(f"Kafka is up at [bold]{cluster.bootstrap}[/]. One event out and back: {seconds:.1f} s.")
                process, address = stack.enter_context(_jupyter_lab(settings, port, ip))
            console.print(f"\nJupyterLab:\n\n  [bold]{address}[/]\n", soft_wrap=True)
            console.print("Ctrl-C here ends it, and the Kafka that this command started.")
            open_browser(address)
            process.wait()
    except KeyboardInterrupt:
        console.print("\nEnded.")
    if left := settings.embedded and background.address(settings):
        console.print(
            f"Kafka still runs at {left}: another program uses it, or `up` asked for it. Stop it: python3 lab.py down"
        )


def _running_already(settings: Settings) -> str:
    """Return the address of this lab's running JupyterLab; stop one that is left behind or has no address."""
    for each in processes.running(settings, ["jupyter"]):
        with contextlib.suppress(LabError):
            if not each.orphan:
                pid = each.process.pid
                return until(partial(_address, settings, pid), 10, "the address of the running JupyterLab")
        processes.stop([each])
    return ""


def environment(settings: Settings) -> dict[str, str | None]:
    """Return the changes to this program's environment for JupyterLab and its kernels.

    The user's settings of Jupyter and IPython are for other servers, and some would stop this one: they do not apply.
    Themes and keyboard shortcuts do. All folders are in the lab's home, because the user's may not be writable.
    """
    folder = settings.home / "jupyter"
    laid: dict[str, str | None] = {name: None for name in os.environ if name.startswith(("JUPYTER", "IPYTHON"))}
    laid |= {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    theirs = Path(jupyter_config_dir(), "lab", "user-settings")
    if theirs.is_dir() and writable(theirs):
        laid["JUPYTERLAB_SETTINGS_DIR"] = str(theirs)
    if "MPLCONFIGDIR" not in os.environ and not writable(os.path.expanduser("~/.config")):  # noqa: PTH111
        laid["MPLCONFIGDIR"] = str(folder / "matplotlib")
    return laid


def front_page_of(settings: Settings) -> str:
    """Return the front page's path, as JupyterLab sees it. It is no file: contents.py makes it when a browser asks."""
    return (settings.work.relative_to(settings.root) / "home.md").as_posix()


def jupyter_options(settings: Settings) -> list[str]:
    """Return what makes a JupyterLab show the learner's copies, with the front page first."""
    front_page, ours = front_page_of(settings), Path(__file__).with_name("jupyterlab")
    return [
        f"--ServerApp.root_dir={settings.root}",
        f"--LabApp.default_url=/lab/tree/{front_page}",
        # Nothing leaves the machine: overrides.json turns off the news feed and the check for updates.
        f"--LabApp.app_settings_dir={ours}",
        "--ServerApp.contents_manager_class=labsupport.commands.contents.Contents",
        f"--Contents.front_page={front_page}",
        "--LabApp.custom_css=True",
        f"--ServerApp.tornado_settings=static_custom_path={ours}",
    ]


@contextlib.contextmanager
def _jupyter_lab(settings: Settings, port: int | None, ip: str) -> Iterator[tuple[Process, str]]:
    """Run JupyterLab on the learner's copies for the body of a `with`; yields it and its address."""
    options = [*jupyter_options(settings), "--no-browser"]
    # The administrator's settings for all servers, such as 0.0.0.0 in a container, do not apply to this one.
    options += [f"--ServerApp.ip={ip}", f"--ServerApp.preferred_dir={settings.root}", "--ServerApp.base_url=/"]
    options += ["--ServerApp.certfile=", "--ServerApp.keyfile="]
    if port is not None:
        options += [f"--port={port}", "--ServerApp.port_retries=0"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")  # for containers; the token still protects it
    command = [sys.executable, "-P", *python_marks(settings, "jupyter"), "-m", "jupyterlab", *options]
    log = settings.home / "jupyter.log"
    with contextlib.ExitStack() as stack:
        for attempts_left in (2, 1, 0):
            log.unlink(missing_ok=True)
            process = Process.start("JupyterLab", command, log, cwd=settings.root, env=environment(settings))
            stack.callback(process.stop, 15)
            until(partial(_listens_or_ended, settings, process), 120, "JupyterLab to answer")
            if process.alive:
                break
            # It looks for a free port first, and listens later: another program may have taken the port meanwhile.
            if port is not None or not attempts_left or "is already in use" not in process.tail(20):
                raise LabError(
                    "JupyterLab did not start.",
                    process.tail(6),
                    "is the port taken? python3 lab.py --port 8899" if port else _next_step(log),
                )
        yield process, _address(settings, process.pid)


def _next_step(log: Path) -> str:
    files = [file for each in SYSTEM_CONFIG_PATH for file in sorted(Path(each).glob("jupyter_*config*"))]
    named = f"is it a setting of this machine's Jupyter? {', '.join(map(str, files))}\n" if files else ""
    return f"{named}check what the lab needs: python3 lab.py doctor\nthe whole log: {log}"


def _address(settings: Settings, pid: int) -> str:
    """Return the address with its token, from the file that the server writes before it listens; empty before that."""
    server = _server(settings, pid)
    return f"{server['url']}lab/tree/{front_page_of(settings)}?token={server['token']}" if server else ""


def _listens_or_ended(settings: Settings, process: Process) -> bool:
    return not process.alive or _listens(settings, process.pid)


def _listens(settings: Settings, pid: int) -> bool:
    """Return whether this server, and no other one on its port, answers: it knows the token."""
    if not (server := _server(settings, pid)):
        return False
    connection = http.client.HTTPConnection(server["hostname"], server["port"], timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", f"/api/status?token={server['token']}")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


def _server(settings: Settings, pid: int) -> dict[str, Any]:
    try:
        file = Path(str(environment(settings)["JUPYTER_RUNTIME_DIR"]), f"jpserver-{pid}.json")
        server = dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
    if server["hostname"] in ("", "0.0.0.0", "::"):  # then the URL has this machine's name: a container's
        server |= {"hostname": "localhost", "url": f"http://localhost:{server['port']}/"}
    return server
