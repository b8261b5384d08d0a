"""Temporary homes, in the machine's temporary folder. They are deleted when the program that made them has ended."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from labsupport.broker import background, owners, processes
from labsupport.broker.identity import identity, lives
from labsupport.broker.process import Process
from labsupport.settings import Settings


@contextlib.contextmanager
def temporary(prefix: str) -> Iterator[Path]:
    """Give this program, and those it starts, a home of their own in a `with`; no running lab is touched."""
    before = dict(os.environ)
    home = make(prefix)
    try:
        yield home
    finally:
        background.stop_all(Settings.from_environment())
        shutil.rmtree(home, ignore_errors=True)
        os.environ.clear()
        os.environ.update(before)
        tempfile.tempdir = None


def make(prefix: str) -> Path:
    """Make such a home until this program ends; then the home's watchdog deletes it.

    It is also the temporary folder of these programs. Homes whose owner and watchdog were both killed are deleted now.
    """
    everywhere = Path(tempfile.gettempdir())
    for old in everywhere.glob(f"{prefix}[0-9]*-*"):
        pid, _, began = old.name.removeprefix(prefix).rpartition("-")[0].partition("-")
        if not lives(f"{pid}:{began}") and Process.recorded(processes.watchdog_record(old)) is None:
            shutil.rmtree(old, ignore_errors=True)
    home = Path(tempfile.mkdtemp(prefix=prefix + identity().replace(":", "-") + "-")).resolve()
    (home / owners.TEMPORARY).touch()
    os.environ["LAB_HOME"] = str(home)
    processes.register(Settings.from_environment())
    (home / "tmp").mkdir()
    os.environ |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(home / "tmp"))
    tempfile.tempdir = None  # gettempdir() looks it up again
    return home
