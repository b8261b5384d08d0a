"""The shape of the project: its rooms, types, pins and documents."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from importlinter.cli import lint_imports
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from labsupport.commands.main import COMMANDS, lab
from labsupport.settings import CHECKOUT
from labsupport.setup import installed

DOCUMENTS = ["README.md", "DESIGN.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"]
TEXTS = {".py", ".md", ".toml", ".txt", ".lock", ".ipynb", ".yml", ".yaml", ".properties", ".sanitize", ""}


# Made by running the project.
MADE = {
    ".git", ".venv", ".vnew", ".vold", ".lab", "work", "__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis",
    ".import_linter_cache", ".ipynb_checkpoints",
}  # fmt: skip


def files() -> list[Path]:
    """Every file of the project that is not made by running it."""
    return [
        path for path in CHECKOUT.rglob("*")
        if path.is_file() and not MADE & set(path.relative_to(CHECKOUT).parts) and path.suffix in TEXTS
    ]  # fmt: skip


def test_the_rooms_keep_their_order(monkeypatch):
    """Imports follow the arrows that pyproject.toml draws."""
    monkeypatch.chdir(CHECKOUT)
    monkeypatch.setattr(sys, "path", [*sys.path])  # it adds the folder
    assert lint_imports(config_filename=str(CHECKOUT / "pyproject.toml"), cache_dir=None) == 0


def test_no_circle_hides_behind_a_type_in_the_course():
    """The contracts leave imports for types out; in the course there are none of the lab's own."""
    for path in (CHECKOUT / "labsupport" / "course").rglob("*.py"):
        assert not re.search(r"TYPE_CHECKING:\n +from labsupport", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("check", [["check"], ["format", "--check"]])
def test_ruff_has_nothing_to_say(check):
    """Style is not discussed."""
    run = subprocess.run([sys.executable, "-m", "ruff", *check, "."], cwd=CHECKOUT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_importing_the_package_does_nothing(tmp_path):
    """No Kafka client, no folder, no thread: a name is loaded when it is used."""
    code = "import sys, threading, labsupport; print('kafka' in sys.modules, threading.active_count())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.stdout.split() == ["False", "1"]


def test_opening_a_lesson_does_not_wait_for_tables_and_pictures(tmp_path):
    """The modules behind them (pandas, matplotlib) are loaded with the first table or picture."""
    code = "import sys; from labsupport import lesson; print({'pandas', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.stdout.strip() == "set()"


def test_the_types_agree():
    """mypy, as pyproject.toml sets it up; there stands what is not checked yet."""
    run = subprocess.run([sys.executable, "-m", "mypy"], cwd=CHECKOUT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_requirements_pin_everything_that_the_project_asks_for():
    """Each dependency of pyproject.toml is pinned in requirements.txt, which installs the package itself too."""
    assert "-e ." in installed.REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in installed.lines()]
    assert all(str(pin.specifier).startswith("==") for pin in pins)
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [Requirement(each) for each in project["dependencies"] + extras["jupyter"] + extras["test"]]
    pinned = {canonicalize_name(pin.name): pin for pin in pins}
    for each in wanted:
        version = str(pinned[canonicalize_name(each.name)].specifier).removeprefix("==")
        assert version in each.specifier
    needed = {canonicalize_name(pin.name) for pin in pins if pin.marker is None or pin.marker.evaluate()}
    assert {canonicalize_name(name) for name in installed.pins()} == needed  # which reads markers without `packaging`
    markers = {str(pin.marker) for pin in pins if pin.marker}
    assert any("win32" in marker for marker in markers)  # the closure is for all three systems
    assert any("darwin" in marker for marker in markers)


def test_the_pins_are_complete_but_for_what_is_left_out():
    """The installer resolves nothing: what a pinned package needs is pinned, unless pyproject.toml leaves it out."""
    told = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    left_out = {Requirement(each).name for each in told["tool"]["uv"]["override-dependencies"]}
    extras = told["project"]["optional-dependencies"]
    wanted = [*map(Requirement, told["project"]["dependencies"] + extras["jupyter"] + extras["test"])]
    needed, done = set(), set()
    while wanted:
        each = wanted.pop()
        if each.name in left_out or (each.name, *each.extras) in done:
            continue
        needed.add(canonicalize_name(each.name))
        done.add((each.name, *each.extras))
        for its in map(Requirement, importlib.metadata.requires(each.name) or []):
            if not its.marker or any(its.marker.evaluate({"extra": extra}) for extra in each.extras or [""]):
                wanted.append(its)
    assert needed == {canonicalize_name(name) for name in installed.pins()}


def test_only_these_hosts_stand_in_the_project():
    """No registry: packages and jars come from where pip, uv and jgo are configured to get them."""
    allowed = {"127.0.0.1", "localhost", "github.com", "creativecommons.org", "keepachangelog.com"}
    allowed |= {"mybinder.org", "colab.research.google.com", "codespaces.new"}  # a reader's click opens a lesson there
    for path in files():
        hosts = set(re.findall(r"https?://(?:[^\s/@]*@)?([\w.-]*\w)", path.read_text(encoding="utf-8")))
        assert hosts <= allowed, path


def test_no_path_of_an_authors_machine_stands_in_the_project():
    """Not in outputs, not in documents."""
    for path in files():
        if "tests" not in path.parts:
            assert not re.search(
                r"/(home|Users)/[a-z]|/root/|(?<!tree)/work/[a-z]", path.read_text(encoding="utf-8")
            ), path


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_in_the_documents_resolves(name):
    """Files and headings."""
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    assert len(text) > 500
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("http"):
            file, _, heading = target.partition("#")
            there = CHECKOUT / file if file else CHECKOUT / name
            assert there.exists(), target
            if heading:
                headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
                assert heading in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}, target


@pytest.mark.parametrize("name", DOCUMENTS[:4])
def test_every_command_in_the_documents_exists(name):
    """Each command in a document exists, with its options."""
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    for words in re.findall(r"python3? lab\.py((?: [\w./:-]+)*)", text):
        command, *rest = words.split() or [None]
        if command and not command.startswith("-"):
            assert command in COMMANDS, f"{name}: lab.py {words}"
        found = lab.get_command(click.Context(lab), command or "") or lab
        params = [*found.params, *(param for each in getattr(found, "commands", {}).values() for param in each.params)]
        known = {option for param in params for option in param.opts} | {"--help", "-h", "-k", "-x"}
        for word in [command, *rest]:
            assert not (word or "").startswith("-") or word in known, f"{name}: lab.py {words}"


WAITS = {"until", "get", "flush", "wait", "join", "urlopen", "communicate", "get_iopub_msg", "get_shell_msg"}
HANGS = 300  # seconds


def deadlines(node: ast.AST) -> Iterator[tuple[int, float]]:
    """Line and seconds of each deadline of a wait; not where `pytest.raises` says that it is to be missed."""
    if isinstance(node, ast.With) and "pytest.raises" in ast.unparse(node.items[-1]):
        return
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [each.value for each in node.keywords if each.arg == "timeout"]
        given += node.args[1:2] if name == "until" else node.args[:1] if name in ("wait", "join", "get") else []
        for each in given if name in WAITS else ():
            if isinstance(each, ast.Constant) and isinstance(each.value, int | float):
                yield node.lineno, each.value
    for child in ast.iter_child_nodes(node):
        yield from deadlines(child)


def judging() -> Iterator[tuple[Path, float]]:
    """Each file that tests, judges or stages an experiment, and the seconds after which a wait in it has hung."""
    yield from ((path, HANGS) for path in (CHECKOUT / "tests").rglob("*.py"))
    staged = [*(CHECKOUT / "labsupport" / "experiments").rglob("*.py")]
    for path in [*staged, *(CHECKOUT / "labsupport" / "course" / "exercises").rglob("*.py")]:
        if not {"wrong", "other"} & set(path.parts) and path.name not in ("stub.py", "reference.py"):
            yield path, 60


def test_a_deadline_ends_only_what_hangs():
    """How long something takes is a matter of the machine. Up to a second, the deadline itself is what is tested."""
    short = [
        f"{path.relative_to(CHECKOUT)}:{line}: {seconds} s"
        for path, hangs in judging()
        for line, seconds in deadlines(ast.parse(path.read_text(encoding="utf-8")))
        if 1 < seconds < hangs
    ]
    assert short == []


def test_ci_and_pre_commit_run_what_everybody_runs():
    """All three systems, the oldest Python and the newest; the pinned ruff."""
    workflow = yaml.safe_load((CHECKOUT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["test"]
    assert {system.partition("-")[0] for system in job["strategy"]["matrix"]["os"]} == {"ubuntu", "macos", "windows"}
    assert job["strategy"]["matrix"]["python"][0] == "3.11"
    assert "python lab.py test" in [step.get("run") for step in job["steps"]]
    assert "exec python3 lab.py test" in (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")
    pinned = f"ruff=={installed.pins()['ruff']}"
    hooks = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert all(hook["additional_dependencies"] == [pinned] for hook in hooks if hook["id"].startswith("ruff"))
    quick = "lab.py test --changed"
    assert f"python {quick}" in [step.get("run") for step in workflow["jobs"]["changed"]["steps"]]
    assert [hook["stages"] for hook in hooks if hook["entry"] == f"python3 {quick}"] == [["pre-push"]]


def test_the_design_names_every_module():
    """The file map in DESIGN.md is the listing; what lies below course/exercises/ is one entry."""
    text = (CHECKOUT / "DESIGN.md").read_text(encoding="utf-8")
    for path in (CHECKOUT / "labsupport").rglob("*.py"):
        if path.name != "__init__.py" and "exercises" not in path.parts:
            assert path.name in text, path
