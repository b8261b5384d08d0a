"""At the end of a run: where the time went, by kind of test. Nothing asserts these figures.

A test's processor time is its worker's own and that of the processes that ended meanwhile. A shared broker counts in no
test, so the last line says how busy the whole machine was.
"""

import os
import re
import time
from collections import defaultdict
from dataclasses import dataclass

import psutil
import pytest

# The first that matches says what kind of test it is.
KINDS = {
    "set-ups, bundles, roads, the book": r"tests/test_(bootstrap|roads|book)\.",
    "lessons, solved and varied": r"tests/test_notebooks\.py::test_(with_the_reference|a_variation)",
    "lessons": r"notebooks/.*\.ipynb",
    "form of the lessons, style, types": r"tests/test_(notebooks|structure|readme)",
    "exercises and their verdicts": r"tests/exercises/|tests/kafka/test_(check|busy_verdicts)",
    "commands, JupyterLab": r"tests/kafka/test_(\w*commands?|doctor|tour|bench|session|start)\.|tests/test_browser",
    "brokers and processes": (
        r"tests/kafka/test_(cluster|embedded|owners|process|compose|kafka_fixes|groups|forkserver)\."
    ),
    "crashes, faults, members": r"tests/kafka/test_(crashes|faults|members|rebuilding)\.",
    "delivery and history on Kafka": r"tests/kafka/",
    "without Kafka": r"",
}
CPU = "processor seconds"


def kind(nodeid: str) -> str:
    """What the test is about."""
    return next(name for name, pattern in KINDS.items() if re.match(pattern, nodeid))


@dataclass
class Spent:
    """Tests of one kind: how many, their seconds, their processor seconds."""

    tests: int = 0
    seconds: float = 0.0
    processor: float = 0.0


def table(spent: dict[str, Spent], elapsed: float, workers: int, idle: float) -> list[str]:
    """One line for each kind, the most expensive first, and one for all.

    `elapsed` is in seconds, `idle` the part of the processors that nobody used meanwhile.
    """
    lines = [f"{'':34} {'tests':>6} {'seconds':>8} {'processor':>10}"]
    for name, each in sorted(spent.items(), key=lambda pair: -pair[1].seconds):
        lines.append(f"{name:34} {each.tests:>6,} {each.seconds:>8,.0f} {each.processor:>10,.0f}")
    busy = sum(each.seconds for each in spent.values()) / (workers * elapsed)
    lines.append(
        f"{elapsed:,.0f} s; {workers} worker{'s' * (workers > 1)} idle {max(0, 1 - busy):.0%} of it (start, end), "
        f"processors {idle:.0%}"
    )
    return lines


class Watch:
    """In each worker: notes the processor time of each report, from one report to the next."""

    def __init__(self):
        self.before = sum(os.times()[:4])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self):
        """Write it into the report, which travels to the program that adds up."""
        report = yield
        now = sum(os.times()[:4])
        report.user_properties.append((CPU, now - self.before))
        self.before = now
        return report


class Account:
    """Adds up, and prints the table."""

    def __init__(self, config):
        self.config, self.began, self.processors = config, time.monotonic(), psutil.cpu_times()
        self.spent: dict[str, Spent] = defaultdict(Spent)

    def pytest_runtest_logreport(self, report):
        """One phase of a test: set-up, call or tear-down."""
        spent = self.spent[kind(report.nodeid)]
        spent.tests += report.when == "call" or (report.when == "setup" and report.skipped)
        spent.seconds += report.duration
        spent.processor += dict(report.user_properties).get(CPU, 0.0)

    def pytest_terminal_summary(self, terminalreporter):
        """Below the results, for runs that are worth it."""
        elapsed = time.monotonic() - self.began
        if elapsed > 10 and self.spent:
            terminalreporter.section("where the time went")
            workers = self.config.getoption("numprocesses", None) or 1
            for line in table(self.spent, elapsed, workers, self.idle()):
                terminalreporter.line(line)

    def idle(self) -> float:
        """Which part of the processors nobody has used since the beginning, of this run or another program."""
        spent = [now - then for now, then in zip(psutil.cpu_times(), self.processors, strict=True)]
        return psutil.cpu_times()._make(spent).idle / sum(spent)


def pytest_configure(config):
    """Watch where tests run; add up where they are reported."""
    workers = config.getoption("numprocesses", None)
    if hasattr(config, "workerinput") or not workers:
        config.pluginmanager.register(Watch(), "processor time")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Account(config), "where the time went")
