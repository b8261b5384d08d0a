#!/usr/bin/env python3
"""Sets the lab up, then hands over to it.

    python3 lab.py           set up, check that the lab works, open JupyterLab   (on Windows: py lab.py)
    python3 lab.py test      set up, run every test and every notebook
    python3 lab.py --help    all commands

Needs Python 3.11 or newer and nothing else. What it makes is in .venv; delete that folder to start afresh.
    python3 lab.py --from DIR   the same without network, from what `lab.py bundle DIR` has put there

LAB_OFFLINE=folder does the same for any folder with wheels and jars.
"""
# This file must parse under any Python, so that an old one can be told what it is: no f-strings, no annotations.

import glob
import hashlib
import os
import subprocess
import sys

OLDEST = (3, 11)
HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, ".venv")
PYTHON = os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")
REQUIREMENTS = os.path.join(HERE, "requirements.txt")
STAMP = os.path.join(VENV, "lab-stamp.txt")  # written last: a set-up without it is not finished


def main():
    if sys.version_info < OLDEST:
        stop(
            "The lab needs Python %d.%d or newer; this is Python %s." % (OLDEST + (sys.version.split()[0],)),
            "install a newer Python and start the lab with it, for example: python3.13 lab.py",
        )
    offline = folder_in(sys.argv[1:])
    if offline:
        os.environ["LAB_OFFLINE"] = offline
    wanted = stamp()
    if read(STAMP).rstrip() != wanted:
        try:
            with lock():
                if read(STAMP).rstrip() != wanted:  # another set-up may have finished while we waited
                    set_up(wanted)
        except (OSError, subprocess.CalledProcessError) as error:
            stop("Could not set the lab up in %s: %s" % (HERE, error), remedy(error))
    hand_over()


def folder_in(words):
    """The folder that `--from` names, if that comes first; labsupport reads it once more, and refuses what is wrong."""
    first, equals, value = words[0].partition("=") if words else ("", "", "")
    if first != "--from" or not (equals or words[1:]):
        return ""
    return os.path.abspath(value if equals else words[1])


def stamp():
    """Two lines: which Python made .venv and where; and what is to be installed in it."""
    digest = hashlib.sha256()
    for name in (REQUIREMENTS, os.path.join(HERE, "pyproject.toml")):
        with open(name, "rb") as file:
            digest.update(file.read())
    return "Python %s, %s\n%s" % (sys.version.split()[0], VENV, digest.hexdigest())


def set_up(wanted):
    import importlib.util
    import venv

    if importlib.util.find_spec("ensurepip") is None:
        stop(
            "This Python (%s) cannot make a virtual environment: its module ensurepip is missing." % sys.executable,
            "on Debian and Ubuntu: sudo apt install python%d.%d-venv" % sys.version_info[:2],
        )
    offline = os.environ.get("LAB_OFFLINE")
    if offline:
        check(offline)
    say("Setting up the lab (once; about half a minute on a good line, 700 MB of disk) ...")
    if read(STAMP).split("\n")[0] != wanted.split("\n")[0]:
        say("  a Python environment in .venv")
        venv.create(VENV, clear=True, with_pip=True)
    elif os.path.exists(STAMP):
        os.remove(STAMP)

    source = ["--no-index"] if offline else []
    for folder in (offline, os.path.join(offline, "wheels")) if offline else ():
        if os.path.isdir(folder):
            source += ["--find-links", os.path.abspath(folder)]
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"] + source
    pinned_uv = [line.split()[0] for line in read(REQUIREMENTS).split("\n") if line.startswith("uv==")]
    say("  its packages")
    # uv is six times as fast as pip; where it cannot be had, pip does the same.
    has_uv = subprocess.call(pip + pinned_uv, stderr=subprocess.DEVNULL, close_fds=os.name == "nt") == 0
    uv = [PYTHON, "-m", "uv", "pip", "install", "--python", PYTHON] + source
    subprocess.check_call((uv if has_uv else pip) + ["-r", REQUIREMENTS], cwd=HERE, close_fds=os.name == "nt")
    # Where `-e .` points to is read in the locale's encoding: a path with an umlaut stops Python under a C locale and
    # is lost on Windows. Relative to the file it is plain ASCII.
    for name in glob.glob(os.path.join(glob.escape(VENV), "**", "*labsupport*.pth"), recursive=True):
        write(name, os.path.relpath(HERE, os.path.dirname(name)))
    write(STAMP, wanted)


def check(folder):
    """Stop if it is a bundle that is not whole, or not for this machine. Any other folder is taken as it is."""
    import json
    import platform

    if not os.path.isdir(folder):
        stop("There is no folder %s." % folder, "is the stick in, and its path right?")
    text = read(os.path.join(folder, "bundle.json"))
    if not text:
        return
    try:
        bundle = json.loads(text)
    except ValueError:
        bundle = {"complete": False}
    again = "finish it where it was made: python3 lab.py bundle DIR  (with the same options); then copy it again"
    if not bundle["complete"]:
        stop("The bundle in %s is not finished." % folder, again)
    target = "%s %s, Python %d.%d" % ((platform.system(), platform.machine()) + sys.version_info[:2])
    if target not in bundle["targets"]:
        which = "\n        ".join(bundle["targets"])
        stop("The bundle in %s is not for %s." % (folder, target), "use one of those that it is for:\n        " + which)
    if bundle["requirements"] != digest_of(REQUIREMENTS):
        stop("The bundle in %s is for another version of the lab." % folder, "copy the folder lab from there")
    say("Looking through the bundle in %s ..." % folder)
    for name, (size, digest) in sorted(bundle["files"].items()):
        path = os.path.join(folder, *name.split("/"))
        if not os.path.isfile(path) or os.path.getsize(path) != size or digest_of(path) != digest:
            stop("%s is missing or damaged in the bundle %s." % (name, folder), "copy it again; or " + again)


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remedy(error):
    import shutil

    free = shutil.disk_usage(HERE).free // 1000000
    if free < 700:
        return "free some space: %d MB are left here, and the lab needs about 700 MB" % free
    if isinstance(error, OSError):
        return "copy the lab's folder to a place that you may write to, and start it there"
    return (
        "check the network (a proxy: HTTPS_PROXY=...) and run the same command again; or, without network, use what\n"
        "        somebody has put into a folder with `python3 lab.py bundle DIR`: python3 lab.py --from DIR"
    )


class lock:
    """Held for the body of a `with`: one set-up at a time. The system takes it back from a program that dies."""

    def __enter__(self):
        self.file = open(VENV + ".lock", "a")
        if os.name != "nt":
            os.set_inheritable(self.file.fileno(), True)  # an installer that outlives us still holds the lock
        if not self.taken():
            say("Another set-up of this lab is running; waiting for it ...")
            import time

            while not self.taken():
                time.sleep(0.2)

    def __exit__(self, *_):
        self.file.close()

    def taken(self):
        try:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(self.file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            return False


def hand_over():
    os.environ["PYTHONUTF8"] = "1"  # paths and output with umlauts, also on Windows and under a C locale
    command = [PYTHON, "-m", "labsupport"] + sys.argv[1:]
    if os.name != "nt":
        os.execv(PYTHON, command)
    os.environ["LAB_STARTED_BY"] = str(os.getpid())  # with which it ends
    program = subprocess.Popen(command)  # Windows has no exec; both get Ctrl-C, and the lab answers it
    while True:
        try:
            sys.exit(program.wait())
        except KeyboardInterrupt:
            pass


def read(name):
    try:
        with open(name, "rb") as file:
            return file.read().decode("utf-8")
    except OSError:
        return ""


def write(name, text):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def stop(seen, next_step):
    say(seen + "\n  next: " + next_step)
    sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        say("\nStopped. Run the same command again: it goes on from there.")
        sys.exit(130)
