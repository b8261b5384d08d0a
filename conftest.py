"""For every test and every notebook: a home of their own for the lab, so that a learner's running lab is never touched.

It stands here so that it also holds for `python3 lab.py test notebooks/01_events.ipynb`.
"""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from labsupport.base import Settings
from labsupport.broker import background


def pytest_configure():
    """Before anything is collected: own home, own broker, and no progress bars in what nbval compares."""
    for name in ("LAB_KAFKA", "LAB_LEARNER", "LAB_OFFLINE", "LAB_MAVEN", "LAB_SEED"):
        os.environ.pop(name, None)
    os.environ["LAB_HOME"] = tempfile.mkdtemp(prefix="lab-test-")
    os.environ["TQDM_DISABLE"] = "1"
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # end as Ctrl-C does, with everything stopped
            signal.signal(getattr(signal, name), signal.default_int_handler)


def pytest_unconfigure():
    """Leave nothing running and nothing lying about."""
    home = Path(os.environ["LAB_HOME"])
    if home.name.startswith("lab-test-"):
        background.stop_all(Settings.from_environment())
        shutil.rmtree(home, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A notebook's cell that is expected to fail has failed: nbval marks all cells after a time-out so."""
    outcome = yield
    report = outcome.get_result()
    if type(item).__name__ == "IPyNbCell" and hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"not run to its end: {report.wasxfail or 'an earlier cell timed out or the kernel died'}"
        del report.wasxfail
