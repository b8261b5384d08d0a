"""Distributes a run over its workers: the longest first, so that nobody waits for one at the end.

The seconds of earlier runs are in `.pytest_cache`. One worker alone keeps the order in which the tests stand.
"""

import re
from collections import Counter

import pytest
from xdist.scheduler import LoadScopeScheduling

SECONDS = "lab/seconds"
LONG = 5.0  # seconds: shorter ones keep their order
# Files that take minutes, and whose tests share nothing that is dear: their tests go to all workers.
SPLIT = ("test_exercises.py", "test_notebooks.py", "test_embedded.py", "test_owners.py")
SPLIT += ("test_commands.py", "test_capstone.py", "test_roads.py")
# Seconds, as long as nothing is known of it, as in a fresh clone: without these the last file would run alone for
# minutes. The first pattern that is found in the scope counts.
UNKNOWN = {
    r"test_bootstrap\.py$": 600.0,
    r"test_roads\.py::test_(binder|docker|colab)": 150.0,
    r"::test_a_variation": 20.0,
    r"tests/kafka/\w+\.py$|test_(browser|book)\.py$|test_registry\.py": 60.0,
    r"\.ipynb$|test_(capstone|commands)\.py::": 30.0,
    r"::test_with_the_reference": 15.0,
}


def scope(nodeid: str) -> str:
    """What one worker runs as a whole: a file, which shares a lesson and its fork server, a broker, a kernel, a bundle.

    Of the two registries in one file each is a whole.
    """
    file, _, test = nodeid.partition("::")
    if file.endswith("test_registry.py"):
        return f"{file}::{test.partition('[')[2].partition('-')[0].rstrip(']')}"
    return nodeid if file.endswith(SPLIT) else file


def rank(seconds: dict[str, float], nodeid: str) -> float:
    """Where the test belongs: lower is earlier."""
    part = scope(nodeid)
    known = seconds.get(part, next((guess for pattern, guess in UNKNOWN.items() if re.search(pattern, part)), 0.0))
    return -known if known >= LONG else 0.0


class Scopes(LoadScopeScheduling):
    """Hands out scopes; xdist's own groups (3.8) do not work with pytest 9.2, which keeps node ids elsewhere."""

    def _split_scope(self, nodeid):
        return scope(nodeid)


def pytest_xdist_make_scheduler(config, log):
    """In the order of `pytest_collection_modifyitems`, and not by the number of tests in a scope."""
    config.option.loadscopereorder = False
    return Scopes(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Put the long ones first; every worker does it alike."""
    if hasattr(config, "workerinput"):
        seconds = config.cache.get(SECONDS, {})
        items.sort(key=lambda item: rank(seconds, item.nodeid))


class Seconds:
    """Keeps how long each scope took, for the next run; of one that did not run, what was known."""

    def __init__(self, config):
        self.config, self.taken = config, Counter()

    def pytest_runtest_logreport(self, report):
        """Add up the phases of all its tests."""
        self.taken[scope(report.nodeid)] += report.duration

    def pytest_sessionfinish(self):
        """Store what was worth knowing."""
        known = self.config.cache.get(SECONDS, {}) | self.taken
        self.config.cache.set(SECONDS, {each: round(taken, 1) for each, taken in known.items() if taken >= 1})


def pytest_configure(config):
    """Count in the program that hands out."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Seconds(config), "seconds of each scope")
