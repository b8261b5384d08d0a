"""One server for a class: a checkout and a cache that its users may only read, and JupyterHub with two of them."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import websocket
from other_user import ROOT, User, checkout, install, user_without_rights

from labsupport.broker.processes import read_marks
from labsupport.settings import CHECKOUT
from labsupport.waiting import until

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="such a server runs Linux"),
    pytest.mark.proven_by(
        "requirements.txt", "pyproject.toml", "lab.py", "labsupport/*.py", "labsupport/setup/*", "labsupport/broker/*",
        "labsupport/commands/*", "labsupport/course/*.py", "README.md", "notebooks/00*", "tests/shared/other_user.py",
    ),
]  # fmt: skip


@dataclass
class Server:
    """A machine as its administrator has set it up: the lab in `folder`, Kafka in `cache`; `user` is a learner."""

    user: User
    python: str
    folder: Path
    cache: Path

    def lab(self, *words: str, **environment: str) -> str:
        """What the learner types, in a home of its own; returns what was printed."""
        given = {"LAB_CACHE": str(self.cache)} | environment
        return self.user.run([self.python, self.folder / "lab.py", *words], self.user.home, **given)


def read_only(folder: Path, *, ever: bool = True) -> None:
    """Take everybody's right to write in the folder, or give it back to its owner."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode & ~0o222 if ever else mode | 0o200)


@pytest.fixture(scope="module")
def server(runtime) -> Iterator[Server]:
    """`/usr/bin/python3 lab.py prepare` is all that the administrator types."""
    with user_without_rights() as user:
        folder, cache = checkout(user.folder / "kafka-lab"), user.folder / "cache"
        for name in (runtime.class_path[0].parent, runtime.template.parent):  # so that nothing is fetched
            shutil.copytree(name, cache / name.name)
        made = Server(user, user.python(), folder, cache)
        own = {name: value for name, value in os.environ.items() if not name.startswith("LAB_")}
        command = [made.python, str(folder / "lab.py"), "prepare"]
        run = subprocess.run(command, env=own | {"LAB_CACHE": str(cache)}, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
        for each in (folder, cache):
            read_only(each)
        yield made
        for each in (folder, cache):
            read_only(each, ever=False)


def made_in(folder: Path) -> dict[Path, int]:
    """Every file in the folder, with its time."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_every_command_works_in_a_checkout_that_is_somebody_elses(server):
    """What a learner makes lies in the learner's own folder, and nothing is written beside the sources."""
    before = made_in(server.folder)
    own = server.user.home / ".local" / "share" / "kafka-lab"
    assert f"{own}/work/05_consumer_groups.ipynb is fresh" in server.lab("new", "05")
    assert "is up at" in server.lab("up")
    assert "Kafka answers at" in server.lab("status")
    shown = server.lab("doctor")
    assert "wrong" not in shown
    assert (own / ".lab" / "broker").is_dir()
    server.lab("down")
    assert made_in(server.folder) == before


def test_lab_work_moves_the_learners_files(server):
    """With the documents that lessons link to; JupyterLab shows that folder, front page first."""
    work = server.user.home / "course" / "work"
    with server.user.start(
        [server.python, server.folder / "lab.py", "--no-browser"], server.user.home,
        LAB_CACHE=str(server.cache), LAB_WORK="~/course/work", PYTHONUNBUFFERED="1",
    ) as lab:  # fmt: skip
        lines = []
        for line in lab.stdout or ():
            lines.append(line)
            if found := re.search(r"(http://\S+/)lab/tree/(work/home\.md)\?token=(\w+)", line):
                break
        else:
            pytest.fail("".join(lines))

        def page(path: str) -> str:
            with urllib.request.urlopen(f"{found[1]}api/contents/{path}?token={found[3]}", timeout=300) as answer:
                return answer.read().decode()

        assert f"python3 {server.folder}/lab.py new 00" in page("work/home.md")
        for path in ("work/00_start_here.ipynb", "notebooks/glossary.md", "labsupport/delivery/worker.py", "README.md"):
            assert '"name"' in page(path)
        assert "/course/work/05_consumer_groups.ipynb is fresh" in server.lab("new", "05", LAB_WORK=str(work))
        server.lab("down")
        lab.communicate(timeout=300)
    assert len([*work.glob("*.ipynb")]) >= 20
    until(lambda: not server.user.left_running(), 300, "everything to end", every=0.25)


PROXY = "configurable-http-proxy@5.0.1"
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
HUBS_VERSION = re.search(r"jupyterhub==[\d.]+", README)[0]
# The hub's configuration as the README shows it, for another folder.
SHOWN = textwrap.dedent(re.search(r"\n((?: {4}.*\n)*.*labsupport\.commands\.hub_server.*\n(?: {4}.*\n)*)", README)[1])
# What differs in a test: its users, its ports, and where the hub keeps its files.
OF_THE_TEST = """
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = {spawner!r}
c.SimpleLocalProcessSpawner.home_dir_template = {home!r}
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.services = [dict(name="test", api_token={token!r})]
c.JupyterHub.load_roles = [
    dict(name="test", services=["test"], scopes=["admin:users", "admin:servers", "access:servers", "read:hub"])
]
c.Spawner.start_timeout = 300
"""


def free_ports(number: int) -> list[int]:
    """Ports on which nobody listens now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@dataclass
class Kernel:
    """The kernel of a notebook in a learner's server, over its websocket."""

    socket: websocket.WebSocket

    def run(self, code: str) -> str:
        """Run a cell, and return what it printed, or its error."""
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "test", "username": ""}
        content = {"code": code, "silent": False, "allow_stdin": False, "stop_on_error": True}
        self.socket.send(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content,
                                     "channel": "shell", "buffers": []}))  # fmt: skip
        printed = []
        while True:
            message = json.loads(self.socket.recv())
            if message["parent_header"].get("msg_id") == header["msg_id"]:
                content = message["content"]
                printed.append(content.get("text") or "\n".join(content.get("traceback", [])))
                if message["msg_type"] == "status" and content["execution_state"] == "idle":
                    return "".join(printed)


@dataclass
class Hub:
    """A running JupyterHub, asked over its REST interface; `homes` has each learner's home."""

    url: str
    token: str
    log: Path
    homes: dict[str, Path] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer to a request, from JSON if it is any."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Authorization": f"token {self.token}"}, method=method)
        with urllib.request.urlopen(request, timeout=300) as answer:
            text = answer.read().decode()
        return json.loads(text) if text.startswith(("{", "[")) else text

    def answers(self) -> bool:
        """Whether it does."""
        try:
            return bool(self.ask("GET", "/hub/api/info"))
        except (urllib.error.URLError, OSError):
            return False

    def start(self, name: str) -> None:
        """Start the learner's server."""
        self.ask("POST", f"/hub/api/users/{name}")
        self.ask("POST", f"/hub/api/users/{name}/server")
        until(lambda: self.server(name).get("ready"), 300, f"the server of {name}: {self.log}")

    def server(self, name: str) -> dict:
        """What the hub says of the learner's server; empty if there is none."""
        return self.ask("GET", f"/hub/api/users/{name}")["servers"].get("", {})

    def stop(self, name: str) -> None:
        """Stop the learner's server."""
        self.ask("DELETE", f"/hub/api/users/{name}/server")
        until(lambda: not self.server(name), 300, "the server to stop")

    def open(self, name: str, path: str) -> Kernel:
        """Open a notebook, as a browser does."""
        kind = {"kernel": {"name": "python3"}, "name": path, "path": path, "type": "notebook"}
        kernel = self.ask("POST", f"/user/{name}/api/sessions", kind)["kernel"]["id"]
        address = f"{self.url.replace('http', 'ws')}/user/{name}/api/kernels/{kernel}/channels"
        return Kernel(websocket.create_connection(address, timeout=300, header=[f"Authorization: token {self.token}"]))

    def running(self, name: str, role: str = "") -> list[psutil.Process]:
        """The lab's processes of this learner, or those in a role."""
        found = []
        for process in psutil.process_iter(["cmdline", "cwd", "environ"]):
            said = read_marks(process.info["cmdline"] or [])
            home = (process.info["environ"] or {}).get("HOME")
            if said and home == str(self.homes[name]) and role in ("", said["lab.role"]):
                found.append(process)
        return found


@pytest.fixture
def hub(server, runtime, tmp_path) -> Iterator[Hub]:
    """A JupyterHub with the configuration of the README, and two learners: unix users, if the tests run as root."""
    if not shutil.which("npm"):
        pytest.skip("JupyterHub's proxy is a program for Node.js, and there is no npm")
    proxy = runtime.settings.cache / PROXY.replace("@", "-")
    if not proxy.is_dir():
        new = proxy.with_name(f"{proxy.name}.{os.getpid()}")
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(new), PROXY]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            shutil.rmtree(new, ignore_errors=True)
            pytest.skip(f"npm cannot fetch {PROXY}")
        new.rename(proxy)
    for each in (server.folder, server.folder / ".venv"):
        read_only(each, ever=False)
    try:
        install(server.folder / ".venv" / "bin" / "python", HUBS_VERSION)
    except subprocess.CalledProcessError:
        pytest.skip(f"{HUBS_VERSION} cannot be fetched")
    read_only(server.folder)
    homes = server.user.folder / "homes"
    homes.mkdir(exist_ok=True)
    names = {name: f"lab-{name}-{os.getpid()}" if ROOT else name for name in ("anna", "bela")}
    for name in names.values():
        if ROOT:  # --system: their numbers are not those of people, so that nobody else's broker wants a password
            add = ["useradd", "--system", "--create-home", "--shell", "/bin/sh", "--home-dir", str(homes / name), name]
            subprocess.run(add, check=True)
        else:
            (homes / name).mkdir()
    public, api, inner = free_ports(3)
    made = Hub(f"http://127.0.0.1:{public}", secrets.token_hex(16), server.user.folder / "hub.log")
    made.homes = {name: homes / name for name in names.values()}
    given = {"spawner": "jupyterhub.spawner.LocalProcessSpawner" if ROOT else "simple", "home": f"{homes}/{{username}}"}
    given |= {"public": public, "hub": inner, "api": api, "token": made.token}
    given["proxy"] = ["node", str(proxy / "node_modules/configurable-http-proxy/bin/configurable-http-proxy")]
    shown = SHOWN.replace("/opt/kafka-lab", str(server.folder)).replace("/opt/kafka-cache", str(server.cache))
    (tmp_path / "jupyterhub_config.py").write_text(shown + OF_THE_TEST.format(**given))
    own = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "JUPYTER"))}
    command = [server.folder / ".venv" / "bin" / "python", "-m", "jupyterhub", "-f", tmp_path / "jupyterhub_config.py"]
    with made.log.open("wb") as log:
        program = subprocess.Popen([*map(str, command)], cwd=tmp_path, env=own, stdout=log, stderr=log)
    try:
        until(lambda: made.answers() or program.poll() is not None, 300, "JupyterHub to answer")
        assert program.poll() is None, made.log.read_text()
        yield made
    finally:
        program.terminate()
        program.wait(300)
        for name in made.homes if ROOT else ():
            for left in (each for each in psutil.process_iter(["username"]) if each.info["username"] == name):
                left.kill()
            subprocess.run(["userdel", name], check=True)


ATTACK = """
from kafka.admin import KafkaAdminClient
from labsupport.broker.metadata import active_controller, ask
from labsupport.connection import Connection

def tried(what, attempt):
    try:
        print(what, "WORKED", attempt())
    except Exception as error:
        print(what, "refused:", type(error).__name__)

for own in ({{}}, lab.security):
    there = dict(bootstrap_servers={address!r}, bootstrap_timeout_ms=2000, **own)
    tried("list", lambda: KafkaAdminClient(**there).list_topics())
    tried("delete", lambda: KafkaAdminClient(**there).delete_topics([{topic!r}]))
mine = Connection({address!r}, lab.connection.protocol, "PLAIN", lab.connection.user, lab.connection.password)
for given in (Connection({address!r}), mine):
    for number in {ports!r}:
        tried("ask", lambda: ask("127.0.0.1", number, connection=given))
        tried("controller", lambda: active_controller("127.0.0.1", number, connection=given))
for file in {files!r}:
    tried("read", lambda: open(file, "rb").read(10))
"""


def test_two_learners_on_a_hub_have_a_kafka_each_that_the_other_cannot_use(hub):
    """Both open lesson 00; one attacks the other's broker; each broker ends with its server, however that ends."""
    anna, bela = hub.homes
    kernels = {}
    for name in hub.homes:
        hub.start(name)
        assert "Begin here" in hub.ask("GET", f"/user/{name}/api/contents/work/home.md")["content"]
        notebook = hub.ask("GET", f"/user/{name}/api/contents/work/00_start_here.ipynb")["content"]
        first = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
        kernels[name] = hub.open(name, "work/00_start_here.ipynb")
        assert "Lesson 00 is ready" in kernels[name].run(first["source"])
        (broker,) = hub.running(name, "background")
        if ROOT:
            assert broker.username() == name
    made = kernels[anna].run('print(lab.topic("secret"), lab.bootstrap, lab.settings.home)').split()
    topic, address, home = made
    cluster = json.loads(Path(home, "broker", "cluster.json").read_text())
    files = [str(Path(home, "broker", name)) for name in ("client.properties", "1/server.properties", "cluster.json")]
    said = kernels[bela].run(
        ATTACK.format(address=address, topic=topic, ports=cluster["ports"]["1"], files=files if ROOT else [])
    )
    assert "WORKED" not in said, said
    assert said.count("refused:") == 2 * 2 + 2 * 2 * 2 + (len(files) if ROOT else 0), said
    assert topic in kernels[anna].run("print(lab.topics())")

    hub.stop(anna)
    until(lambda: not hub.running(anna), 300, "everything of the first learner to end", every=0.25)
    assert hub.running(bela, "background")

    assert "until your server stops" in kernels[bela].run("import sys\n!{sys.executable} -m labsupport up")
    server = hub.server(bela)["state"]["pid"]
    psutil.Process(server).kill()  # and nobody tells its kernels
    until(lambda: not hub.running(bela), 300, "everything of the second learner to end", every=0.25)
