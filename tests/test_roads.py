"""The roads on which nothing is installed by hand, taken without their hosts: Binder, a container, Codespaces, Colab.

Each road's own commands are run as a user without rights, with another HOME, in a fresh folder.
"""

import contextlib
import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from other_user import NOBODY, ROOT, User, checkout_for, install, user_without_rights

from labsupport.broker import startup_cache
from labsupport.broker.java_runtime import intact, startup_cache_path
from labsupport.commands import book
from labsupport.commands.book_pages import for_colab
from labsupport.course.copies import NOTEBOOKS, cleared
from labsupport.errors import LabError
from labsupport.settings import CHECKOUT, place
from labsupport.waiting import until

DOCKERFILE = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")
OLD_JUPYTER = ["ipykernel==6.17.1", "ipython==7.34.0", "jupyter_client==7.4.9", "tornado==6.5.7"]  # those of Colab

# Windows has neither these roads nor this way to give rights away.
unix = pytest.mark.skipif(os.name == "nt", reason="these roads lead to Linux")
by_road = [
    "requirements.txt", "pyproject.toml", "build_backend.py", "lab.py", "labsupport/settings.py", "labsupport/setup/*",
    "labsupport/broker/*", "labsupport/commands/prepare.py", "labsupport/commands/new.py",
    "labsupport/commands/start.py", "labsupport/course/copies.py",
]  # fmt: skip


@pytest.fixture
def user() -> Iterator[User]:
    """Somebody else."""
    with user_without_rights() as someone:
        yield someone


def environment_of(user: User, *requirements: str) -> Path:
    """The Python of an environment with these packages, which the user may read."""
    folder = user.folder / "environment"
    user.run([user.python(), "-m", "venv", "--without-pip", folder], user.home)
    install(folder / "bin" / "python", *requirements)
    return folder / "bin" / "python"


@contextlib.contextmanager
def memory_limited(size: int) -> Iterator[Path]:
    """A cgroup whose processes get `size` bytes together; yields the file in which a process registers itself."""
    name, folder = f"lab-road-{uuid.uuid4().hex}", None
    for parent, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        with contextlib.suppress(OSError):
            (folder := Path(parent, name)).mkdir()
            (folder / limit).write_text(str(size))
            break
    else:
        pytest.skip("no memory cgroup can be made here")
    members = folder / "cgroup.procs"
    try:
        yield members
    finally:
        for pid in map(int, members.read_text().split()):  # of a test that failed
            os.kill(pid, signal.SIGKILL)
        until(lambda: not members.read_text(), 300, "its processes to end")
        folder.rmdir()


EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
for path in sys.argv[1:]:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300).execute()
    print("ran", path)
"""


@unix
@pytest.mark.proven_by(*by_road, "binder/*", "notebooks/0[05]*", "labsupport/delivery/*", "labsupport/experiments/*/*")
def test_binders_steps_in_one_gigabyte(user):
    """`postBuild`, then lessons 00 and 05 in a memory cgroup of 1 GB, as another user without rights.

    Binder installs binder/requirements.txt with pip in the repository's folder, and runs postBuild there.
    """
    assert (CHECKOUT / "binder" / "requirements.txt").read_text() == "-r ../requirements.txt\n"
    assert os.access(CHECKOUT / "binder" / "postBuild", os.X_OK)
    checkout = checkout_for(user, user.folder / "checkout")
    python = environment_of(user, "-r", str(checkout / "requirements.txt"))
    path = f"{python.parent}:{os.environ['PATH']}"
    # `-e .` of the pins means the folder in which pip runs: Binder's is the repository.
    (site,) = (python.parent.parent / "lib").glob("python3*/site-packages")
    (site / "labsupport.pth").unlink()  # which uv has linked into other environments, too
    (site / "labsupport.pth").write_text(f"{checkout}\n")
    with memory_limited(1_000_000_000) as register:
        join = ["sh", "-c", f'echo $$ > {register}; exec "$@"', "sh"]  # as root; then rights are given away
        if ROOT:
            join = [*join, "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            user.who = {}
        text = user.run([*join, checkout / "binder" / "postBuild"], checkout, PATH=path)
        assert "nothing is left running" in text
        assert not user.left_running()
        lessons = [checkout / "work" / name for name in ("00_start_here.ipynb", "05_consumer_groups.ipynb")]
        text = user.run([*join, python, "-c", EXECUTE, *lessons], checkout / "work", PATH=path)
        assert text.count("ran ") == 2
        until(lambda: not user.left_running(), 300, "the lab's processes to end", every=0.25)
    assert (checkout / ".lab").is_dir()  # the checkout is writable: all is in it
    assert (user.home / ".cache" / "kafka-lab").is_dir()


def docker_steps() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, in order."""
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2]) for line in lines]


@unix
@pytest.mark.proven_by(*by_road, "Dockerfile", ".dockerignore")
def test_the_dockerfiles_steps_one_by_one_as_a_user_without_rights(user):
    """In a folder that stands for the image's root; then its command answers with JupyterLab, and leaves nothing."""
    image = user.folder / "image"
    image.mkdir()

    def inside(text: str) -> str:
        return re.sub(r"(?<![\w.])/(lab|opt)\b", rf"{image}/\1", text)

    python, environment, where, command = user.python(), {}, image, []
    for instruction, words in docker_steps():
        if instruction == "WORKDIR":
            where = Path(inside(words))
        elif instruction == "ENV":
            name, _, value = words.partition("=")
            environment[name] = inside(value)
        elif instruction == "COPY":
            checkout_for(user, where)
        elif instruction == "CMD":
            command = json.loads(words)
        elif instruction == "RUN" and words.startswith("install "):  # root's, in the image
            folders = [inside(each) for each in words.split() if each != "--owner=learner"]
            subprocess.run(folders, check=True)
            user.own(image)
        elif instruction == "RUN" and words.startswith("python3 "):
            text = user.run([python, *shlex.split(words)[1:]], where, **environment)
            assert "nothing is left running" in text
            assert not user.left_running()
    assert not (user.home / ".cache" / "kafka-lab").exists()  # nothing that the image needs is in the home
    command[command.index("--port") + 1] = "18888"
    with user.start([python, *command[1:]], where, **environment) as program:
        printed = ""
        while "token=" not in printed:
            line = program.stdout.readline()
            assert line, printed
            printed += line
        address, token = re.search(r"(http://localhost:18888)/lab/tree/work/home\.md\?token=(\w+)", printed).groups()
        with urllib.request.urlopen(f"{address}/api/status?token={token}") as answer:
            assert answer.status == 200
        assert (where / "work" / "00_start_here.ipynb").is_file()
        os.kill(program.pid, signal.SIGTERM)  # as `docker stop` does
        program.communicate(timeout=300)
    until(lambda: not user.left_running(), 300, "the lab's processes to end", every=0.25)


@unix
@pytest.mark.proven_by(*by_road, "notebooks/00*", "labsupport/commands/book_pages.py")
def test_colabs_first_cell_installs_beside_an_older_jupyter(user):
    """Its pins stay, and lesson 00 passes; the home is the user's data folder, not the package's."""
    python = environment_of(user, *OLD_JUPYTER, "pip")  # Colab's
    notebook = for_colab(cleared(json.loads((NOTEBOOKS / "00_start_here.ipynb").read_text("utf-8"))), book.repository())
    source = checkout_for(user, user.folder / "source")
    (cell,) = [each for each in notebook["cells"] if each["id"] == "install"]
    said = cell["source"].splitlines()[-1]
    assert said == f"%pip install -q git+{book.repository()}"
    install(python, str(source))
    user.run([python, "-m", "pip", "check"], user.home)
    listed = user.run([python, "-m", "pip", "list", "--format=freeze"], user.home).replace("-", "_").splitlines()
    assert {each.replace("-", "_") for each in OLD_JUPYTER} <= {*listed}
    assert not any(line.startswith("jupyterlab==") for line in listed)
    cell["source"] = "pass"
    path = user.home / "lesson.ipynb"
    path.write_text(json.dumps(notebook))
    install(python, "nbclient")  # the test's, not the lab's
    assert "ran " in user.run([python, "-c", EXECUTE, path], user.home)
    data = user.home / ".local" / "share" / "kafka-lab"
    assert (data / ".lab" / "broker").is_dir()
    assert not [*user.folder.glob("environment/lib/**/.lab")]
    user.run([python, "-m", "labsupport", "new", "all"], user.home)
    assert len([*data.glob("work/*.ipynb")]) == len([*NOTEBOOKS.glob("*.ipynb")])
    assert (data / "notebooks" / "glossary.md").is_file()  # where the lessons' links lead
    until(lambda: not user.left_running(), 300, "the lab's processes to end", every=0.25)


def test_prepare_makes_what_is_missing_and_run_again_only_checks(lab, settings, runtime, tmp_path):
    """A cache with the jars alone gets the rest; an attempt that failed before prevents nothing."""
    cache = tmp_path / "cache"
    shutil.copytree(runtime.class_path[0].parent, cache / runtime.class_path[0].parent.name)
    own = dataclasses.replace(settings, cache=cache)
    (failed := startup_cache_path(own).with_suffix(".failed")).touch()
    first = lab("prepare", LAB_CACHE=str(cache))
    assert first.returncode == 0, first.stderr
    assert "Starting Kafka once" in first.stdout
    assert intact(startup_cache_path(own))
    assert not failed.exists()
    again = lab("prepare", LAB_CACHE=str(cache))
    assert "Starting Kafka" not in again.stdout
    assert "nothing is left running" in again.stdout
    assert not [each for each in psutil.process_iter(["cmdline"]) if str(cache) in " ".join(each.info["cmdline"] or [])]


def test_a_start_up_cache_that_takes_too_long_is_an_error_that_says_so(settings, runtime, tmp_path):
    """Not a file that is missing: what to type, and that the lab works without."""
    cache = tmp_path / "cache"
    shutil.copytree(runtime.class_path[0].parent, cache / runtime.class_path[0].parent.name)
    with pytest.raises(LabError, match=r"(?s)did not write the start-up cache.*lab.py prepare.*works without"):
        startup_cache.train(dataclasses.replace(settings, cache=cache), patience=0)


def test_the_dockerfile_has_no_other_steps_and_leaves_out_what_is_made():
    """Those that the test above leaves to Docker: the base, a user without rights, the port."""
    steps = docker_steps()
    taken = [step for step in steps if step[0] in ("WORKDIR", "ENV", "COPY", "CMD")]
    taken += [step for step in steps if step[0] == "RUN" and step[1].startswith(("install ", "python3 "))]
    assert [step for step in steps if step not in taken] == [
        ("FROM", "python:3.12-slim"), ("RUN", "useradd --create-home learner"), ("USER", "learner"), ("EXPOSE", "8888"),
    ]  # fmt: skip
    assert ("COPY", "--chown=learner . .") in steps
    assert {*(CHECKOUT / ".dockerignore").read_text().split()} >= {".git", ".lab", ".venv*", "work", "**/__pycache__"}


def test_a_codespace_is_prepared_like_an_image_and_opens_the_first_lesson():
    """No Docker inside, no port, no account beyond; what `prepare` makes outlives a rebuild, and git ignores it."""
    text = (CHECKOUT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    described = json.loads(text)
    assert not re.search("docker|features|forwardPorts|privileged", text)
    create = described["onCreateCommand"].split(" && ")  # prebuilds run it, too
    assert create == ["python3 lab.py prepare", "python3 lab.py new all"]
    assert described["containerEnv"] == {"LAB_CACHE": "${containerWorkspaceFolder}/.lab/cache"}
    (first,) = described["customizations"]["codespaces"]["openFiles"]
    assert (NOTEBOOKS / Path(first).name).is_file()
    assert first.startswith("work/")
    settings = json.loads((CHECKOUT / ".vscode" / "settings.json").read_text(encoding="utf-8"))
    assert settings["python.defaultInterpreterPath"] == "${workspaceFolder}/.venv"


def test_the_composed_lab_uses_the_broker_beside_it():
    """At the address that the broker advertises inside; notebooks and progress are in volumes."""
    services = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8"))
    lab, kafka = services["services"]["lab"], services["services"]["kafka"]
    assert lab["profiles"] == ["lab"]
    assert "profiles" not in kafka  # so it starts with any profile
    advertised = kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert f"INTERNAL://{lab['environment']['LAB_KAFKA']}" in advertised
    assert lab["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    assert lab["ports"] == ["127.0.0.1:8888:8888"]
    for volume in lab["volumes"]:
        name, _, folder = volume.partition(":")
        assert name in services["volumes"]
        assert f" {folder}" in DOCKERFILE  # made there for the user, whose volume takes over its owner


def test_binders_python_is_one_that_the_lab_supports():
    """By pyproject.toml."""
    (version,) = re.findall(r"^python-3\.(\d+)$", (CHECKOUT / "binder" / "runtime.txt").read_text(), re.M)
    assert int(version) >= 11


def test_the_labs_address_stands_in_one_place_and_all_others_agree():
    """pyproject.toml; the README repeats it in its links."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project["urls"]["Repository"]
    owner_and_name = address.removeprefix("https://github.com/")
    assert re.fullmatch(r"[\w-]+/[\w.-]+", owner_and_name)
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    first = "\n".join(readme.splitlines()[:30])
    for road in (
        f"https://mybinder.org/v2/gh/{owner_and_name}/main?urlpath=lab/tree/work/00_start_here.ipynb",
        f"https://colab.research.google.com/github/{owner_and_name}/blob/{book.BRANCH}/colab/00_start_here.ipynb",
        f"https://codespaces.new/{owner_and_name}",
        "python3 lab.py ",
    ):
        assert road in first, road
    hosts = r"(?:mybinder\.org/v2/gh|colab\.research\.google\.com/github|codespaces\.new)/([\w.-]+/[\w.-]+)"
    assert {*re.findall(hosts, readme)} == {owner_and_name}


def test_what_is_made_lies_in_a_writable_checkout_and_else_in_the_users_data_folder(tmp_path, monkeypatch):
    """Not in a package's folder, and not in a checkout that belongs to somebody else."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "lab.py").touch()
    assert place(tmp_path) == tmp_path
    monkeypatch.setattr(os, "access", lambda *_: False)
    elsewhere = place(tmp_path)
    assert elsewhere.name == "kafka-lab"
    assert elsewhere.is_relative_to(tmp_path / "data") or sys.platform != "linux"
    monkeypatch.undo()
    (tmp_path / "lab.py").unlink()
    assert place(tmp_path).name == "kafka-lab"
