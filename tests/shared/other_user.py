"""A user without rights, with a home of its own, and what it is given: a checkout, packages."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labsupport.broker.processes import read_marks
from labsupport.settings import CHECKOUT

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
NOBODY = 65534
NETWORK = re.compile(r"(PIP|UV)_(?!CACHE).*|.*_(proxy|PROXY)|.*CERT.*|.*CA_BUNDLE|PATH|LANG|LC_ALL")


class User:
    """A user without rights: nobody, if the tests run as root, else who runs them; with a HOME of its own."""

    def __init__(self, folder: Path):
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        (self.home / "tmp").mkdir()
        self.who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if ROOT else {}
        self.environment = {name: value for name, value in os.environ.items() if NETWORK.fullmatch(name)}
        self.environment |= {"HOME": str(self.home), "TMPDIR": str(self.home / "tmp"), "TQDM_DISABLE": "1"}
        self.own(folder)

    def own(self, folder: Path) -> None:
        """Make everything in the folder this user's."""
        if ROOT:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def run(self, command: list, cwd: Path, **environment: str) -> str:
        """Run it to its end, and return what it printed; an error fails the test."""
        with self.start(command, cwd, **environment) as program:
            text, _ = program.communicate(timeout=900)
        assert program.returncode == 0, text[-3000:]
        return text

    def start(self, command: list, cwd: Path, **environment: str) -> subprocess.Popen:
        """Start it as this user."""
        return subprocess.Popen(
            [*map(str, command)], cwd=cwd, env=self.environment | environment, text=True, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, **self.who,
        )  # fmt: skip

    def python(self) -> str:
        """A Python that this user may run; one of root's is hidden from others."""
        base = getattr(sys, "_base_executable", sys.executable)
        code = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
        for each in (base, "/usr/bin/python3"):
            with contextlib.suppress(OSError):
                if not subprocess.run([each, "-c", code], capture_output=True, **self.who, cwd="/").returncode:
                    return each
        return pytest.skip("there is no Python 3.11 with venv that a user without rights may run")

    def left_running(self) -> list[psutil.Process]:
        """The lab's processes whose command line or folder is in this user's."""
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            words = process.info["cmdline"] or []
            if read_marks(words) and str(self.folder) in f"{words} {process.info['cwd']}":
                found.append(process)
        return found


@contextlib.contextmanager
def user_without_rights() -> Iterator[User]:
    """Give such a user for the body of a `with`; the folder is not inside that of the tests, which is root's alone."""
    before, tempfile.tempdir = tempfile.tempdir, None
    folder = Path(tempfile.mkdtemp(prefix="lab-road-", dir="/tmp")).resolve()
    tempfile.tempdir = before
    folder.chmod(0o755)
    someone = User(folder)
    yield someone
    for left in someone.left_running():  # of a test that failed
        left.kill()
    shutil.rmtree(folder, ignore_errors=True)


def checkout(folder: Path) -> Path:
    """Make what git would check out, and nothing that running the lab has made."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, folder / name)
    return folder


def checkout_for(user: User, folder: Path) -> Path:
    """Make a checkout of this user's own."""
    checkout(folder)
    user.own(folder)
    return folder


def install(python: Path, *words: str) -> None:
    """Install with uv and the cache of who runs the tests: with pip and none, it would take minutes each time."""
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python), *words]
    subprocess.run(command, cwd=CHECKOUT, check=True)
