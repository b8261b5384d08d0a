"""Gives every test and notebook a home of its own, so that a learner's running lab is never touched.

It lies here so that it also applies to `python3 lab.py test notebooks/01_events.ipynb`.
"""

import dataclasses
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest

from labsupport.broker import background, processes, temporary_homes
from labsupport.commands.test import keep_byte_code
from labsupport.interrupts import INTERRUPTS
from labsupport.settings import Settings

pytest_plugins = ["longest_first", "time_spent", "unchanged"]  # tests/plugins

TEST_HOME = "lab-test-"


def pytest_configure(config):
    """Before collection: set a home and so a broker of its own, and no progress bars in what nbval compares.

    Each pytest-xdist worker has its home inside that of the program that started it.
    """
    for name in ("LAB_KAFKA", "LAB_KAFKA_CONFIG", "LAB_LEARNER", "LAB_OFFLINE", "LAB_MAVEN", "LAB_SEED", "LAB_WORK"):
        os.environ.pop(name, None)
    os.environ["LAB_PASSWORD"] = "off"  # whoever else has an account here
    os.environ.pop("JUPYTERHUB_USER", None)
    worker = getattr(config, "workerinput", None)
    home = Path(os.environ["LAB_HOME"], worker["workerid"]) if worker else temporary_homes.make(TEST_HOME)
    if worker:
        os.environ["LAB_HOME"] = str(home)
        processes.end_with(os.getppid())
        processes.register(Settings.from_environment())
    else:
        if not config.option.basetemp:  # the tests' folders are deleted with the home
            config.option.basetemp = str(home / "tests")
        marked = [sys.executable, *processes.python_marks(Settings.from_environment(), "program")]
        config.option.tx = ["popen//python=" + shlex.join(marked) if tx == "popen" else tx for tx in config.option.tx]
    keep_byte_code()
    os.environ["TQDM_DISABLE"] = "1"
    config.option.nbval_sanitize_with = str(Path(__file__).parent / "tests" / "nbval.sanitize")  # from any folder
    for each in INTERRUPTS:  # end as Ctrl-C does, with everything stopped
        signal.signal(each, signal.default_int_handler)


def pytest_unconfigure():
    """Leave no process and no file behind, not even of a killed worker."""
    home = Path(os.environ["LAB_HOME"])
    if home.name.startswith(TEST_HOME):
        settings = Settings.from_environment()
        for each in (home, *home.glob("gw*")):
            background.stop_all(dataclasses.replace(settings, home=each))
        shutil.rmtree(home, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Report an expected failure of a notebook cell as a failure: nbval marks all cells after a timeout that way."""
    outcome = yield
    report = outcome.get_result()
    if type(item).__name__ == "IPyNbCell" and hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"not run to its end: {report.wasxfail or 'an earlier cell timed out or the kernel died'}"
        del report.wasxfail
