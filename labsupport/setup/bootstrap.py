"""From `lab.py` to the lab's own Python: use, finish or replace `.venv`, then run the command in it.

A new environment is made beside the old one and replaces it when it is complete. So a failure, Ctrl-C or a `kill -9`
at any moment leaves one that works.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from labsupport.setup import installer

WINDOWS = os.name == "nt"
CHECKOUT = Path(__file__).resolve().parent.parent.parent
VENV = Path(os.path.realpath(CHECKOUT / ".venv"))  # may be a link to a larger disk
# As long as the real name: in a Windows launcher a name can only be replaced by one of the same length.
NEW, OLD = VENV.with_name(".vnew"), VENV.with_name(".vold")
PYTHON = installer.python_of(VENV)
REQUIREMENTS = CHECKOUT / "requirements.txt"
MINE = f"{sys.version_info.major}.{sys.version_info.minor}"
STAMP = "lab-stamp.txt"  # written last: an environment without it is unfinished
DISK_NEEDED = 900  # MB

# Python's variables about its output. The others decide which modules are found, or run the user's code.
KEPT = {"UTF8", "IOENCODING", "UNBUFFERED", "DONTWRITEBYTECODE", "PYCACHEPREFIX", "FAULTHANDLER"}


def main(words: list[str]) -> None:
    """Make sure that `.venv` fits, and run `words` in it."""
    for name in list(os.environ):
        if (name.startswith("PYTHON") and name.removeprefix("PYTHON") not in KEPT) or name == "VIRTUAL_ENV":
            del os.environ[name]
    offline, command = read_words(words)
    if offline:
        os.environ["LAB_OFFLINE"] = offline
    try:
        prepare(os.environ.get("LAB_OFFLINE", ""), again=command[:1] == ["setup"] and not {"-h", "--help"} & {*command})
        hand_over(words)
    except KeyboardInterrupt:
        say("\nStopped. Run the same command again.")
        sys.exit(130)


def read_words(words: list[str]) -> tuple[str, list[str]]:
    """Return the folder of a leading `--from`, and the words after it; labsupport refuses wrong words."""
    first, equals, value = words[0].partition("=") if words else ("", "", "")
    if first != "--from" or not (equals or words[1:]):
        return "", words
    return str(Path(value if equals else words[1]).absolute()), words[1 if equals else 2 :]


def prepare(offline: str, again: bool) -> None:
    """Set the lab up if needed, or if `again` asks for it; stop with a message if that fails."""
    if not again and fits():
        return
    if os.pathsep in str(VENV):
        stop(
            f"The lab cannot be set up in {CHECKOUT}: Python reads {os.pathsep!r} as the end of a path.",
            "give the folder another name, and type the command again",
        )
    try:
        with lock():
            recover()
            if again or not fits():
                set_up(offline)
    except (OSError, installer.FailedError) as error:
        seen = f"Could not set the lab up in {CHECKOUT}: {error}"
        if again or not works():
            stop(seen, remedy(error))
        say(f"{seen}\n  The lab keeps using its old set-up. To try again: python3 lab.py setup")


def fits() -> bool:
    """Return whether `.venv` is finished, has not moved, and fits requirements.txt.

    Another Python is no reason to make it again, as long as the one that made it is still there.
    """
    made, _, installed = text_of(VENV / STAMP).rstrip().partition("\n")
    version, _, place = made.removeprefix("Python ").partition(", ")
    if installed != pinned() or not PYTHON.exists() or not same_place(place, VENV):
        return False
    mine, somebody_elses = sys.version.split()[0], not os.access(CHECKOUT, os.W_OK)
    if version == mine and not somebody_elses:
        return True
    theirs = works()  # a Python in its owner's home may start for the owner only
    if theirs and theirs != mine and not somebody_elses:
        say(f"The lab runs on Python {theirs}, with which it was set up. For Python {mine}: type `setup` after lab.py.")
    return bool(theirs)


def same_place(one: str, other: Path) -> bool:
    """Return whether both paths are one folder, through a symbolic link or a disk that is mounted twice."""
    try:
        return other.samefile(one)
    except (OSError, ValueError):
        return False


def works() -> str:
    """Return the version of the Python in `.venv` if it starts and finds the lab; else empty."""
    code = "import sys, labsupport.setup, click, rich; print(sys.version.split()[0])"
    try:
        run = subprocess.run([str(PYTHON), "-I", "-c", code], capture_output=True, text=True)
    except OSError:
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""


def pinned() -> str:
    """Return a digest of what is to be installed."""
    digest = hashlib.sha256()
    for path in (REQUIREMENTS, CHECKOUT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def recover() -> None:
    """After a kill between two renames, give the new or the old environment its name."""
    for left in (NEW, OLD):
        if not VENV.exists() and (left / STAMP).exists():
            left.rename(VENV)
    for left in (NEW, OLD):
        shutil.rmtree(left, ignore_errors=True)


def set_up(offline: str) -> None:
    """Make the environment beside `.venv`, and swap them. Raises OSError or FailedError."""
    import importlib.util
    import venv

    if importlib.util.find_spec("ensurepip") is None:
        stop(
            f"This Python ({sys.executable}) cannot make a virtual environment: its module ensurepip is missing.",
            f"on Debian and Ubuntu: sudo apt install python{MINE}-venv",
        )
    if offline:
        check(Path(offline))
    say(f"Setting up the lab (once; about half a minute with a fast network, {DISK_NEEDED} MB of disk) ...")
    try:
        say("  a Python environment in .venv")
        try:
            venv.create(NEW, clear=True, with_pip=True)
        except subprocess.CalledProcessError as error:
            raise installer.FailedError(f"no Python environment could be made: {error}") from error
        say("  its packages")
        installer.install(NEW, REQUIREMENTS, offline)
        _rename_inside()
        made = f"Python {sys.version.split()[0]}, {VENV}\n{pinned()}\n"
        (NEW / STAMP).write_text(made, encoding="utf-8")
        swap()
    finally:
        shutil.rmtree(NEW, ignore_errors=True)


def swap() -> None:
    """Rename twice; if the second rename fails, put the old environment back."""
    had = VENV.exists()
    if had:
        VENV.rename(OLD)
    try:
        NEW.rename(VENV)
    except BaseException:
        if had:
            OLD.rename(VENV)
        raise
    shutil.rmtree(OLD, ignore_errors=True)


def _rename_inside() -> None:
    """Write the final path into the scripts, which name the Python that runs them.

    Files are replaced, not changed: they may be hard links into the installer's cache.
    """
    before, after = os.fsencode(NEW), os.fsencode(VENV)
    for path in installer.python_of(NEW).parent.iterdir():
        if path.is_file() and not path.is_symlink() and before in (content := path.read_bytes()):
            scratch = path.with_name(path.name + ".new")
            scratch.write_bytes(content.replace(before, after))
            shutil.copymode(path, scratch)
            scratch.replace(path)


def check(folder: Path) -> None:
    """Stop if it is an incomplete bundle, or one for another machine. Any other folder is accepted."""
    if not folder.is_dir():
        stop(f"There is no folder {folder}.", "is the stick mounted, and its path right?")
    text = text_of(folder / "bundle.json")
    if not text:
        return
    try:
        bundle = json.loads(text)
    except ValueError:
        bundle = {"complete": False}
    again = "finish it where it was made: python3 lab.py bundle DIR  (with the same options); then copy it again"
    if not bundle["complete"]:
        stop(f"The bundle in {folder} is not finished.", again)
    target = f"{platform.system()} {platform.machine()}, Python {MINE}"
    if target not in bundle["targets"]:
        which = "\n        ".join(bundle["targets"])
        stop(f"The bundle in {folder} is not for {target}.", "use one of those that it is for:\n        " + which)
    if bundle["requirements"] != digest_of(REQUIREMENTS):
        stop(f"The bundle in {folder} is for another version of the lab.", "copy the folder lab from there")
    say(f"Checking the bundle in {folder} ...")
    for name, (size, digest) in sorted(bundle["files"].items()):
        path = folder.joinpath(*name.split("/"))
        if not path.is_file() or path.stat().st_size != size or digest_of(path) != digest:
            stop(f"{name} is missing or damaged in the bundle {folder}.", "copy it again; or " + again)


def digest_of(path: Path) -> str:
    """Return the file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remedy(error: Exception) -> str:
    """Return what to do about it."""
    free = shutil.disk_usage(CHECKOUT).free // 1_000_000
    if free < DISK_NEEDED:
        return f"free some space: there are {free} MB, and the lab needs about {DISK_NEEDED} MB"
    if isinstance(error, OSError):
        copy = "copy the lab's folder to a place that you may write to, and start it there"
        if os.access(CHECKOUT, os.W_OK):
            return copy
        owner = "its owner sets it up, with a Python that you may run, too: /usr/bin/python3 lab.py setup"
        return f"{owner}\n        or {copy}"
    return (
        "check the network (a proxy: HTTPS_PROXY=...) and run the same command again; or, without a network, use\n"
        "        a folder that somebody made with `python3 lab.py bundle DIR`: python3 lab.py --from DIR"
    )


@contextmanager
def lock():
    """Allow one set-up at a time. The system releases the lock of a program that dies."""
    with CHECKOUT.joinpath(".venv.lock").open("a") as file:
        if not WINDOWS:
            os.set_inheritable(file.fileno(), True)  # an installer that outlives us keeps the lock
        if not taken(file):
            say("Another set-up of this lab is running; waiting for it ...")
            import time

            while not taken(file):
                time.sleep(0.2)
        yield


def taken(file) -> bool:
    """Try to take the lock; return whether that worked."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False


def hand_over(words: list[str]) -> None:
    """Run the command in `.venv`; with `-P`, files in the current folder cannot shadow the lab's modules."""
    os.environ["PYTHONUTF8"] = "1"  # for umlauts in paths and output, also on Windows and under a C locale
    command = [str(PYTHON), "-P", "-m", "labsupport", *words]
    if not WINDOWS:
        os.execv(PYTHON, command)
    os.environ["LAB_STARTED_BY"] = str(os.getpid())  # the command ends with this process
    program = subprocess.Popen(command)  # Windows has no exec; both get Ctrl-C, and the command handles it
    while True:
        with suppress(KeyboardInterrupt):
            sys.exit(program.wait())


def text_of(path: Path) -> str:
    """Return the file's text; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def say(text: str) -> None:
    """Print it on stderr at once, without passwords in addresses."""
    print(re.sub(r"(://)[^/@\s]*@", r"\1***@", text), file=sys.stderr, flush=True)


def stop(seen: str, next_step: str) -> None:
    """Print what happened and what to do, and exit."""
    say(f"{seen}\n  next: {next_step}")
    sys.exit(1)
