"""Real deaths of brokers, and what became of a producer's records."""

import signal
import subprocess
import sys

import pytest

from labsupport.broker import processes
from labsupport.experiments.breaking import broker_deaths
from labsupport.experiments.breaking.broker_deaths import SETTINGS, Matrix
from labsupport.settings import CHECKOUT
from labsupport.waiting import until

# Of five records with each of two settings for unclean elections; of five where that setting is a column.
LOST = ["10 lost", "10 kept", "5 kept", "5 lost"]
EXPECTED = {
    "acks=0, min ISR 1": LOST,
    "acks=0, min ISR 2": LOST,
    "acks=1, min ISR 1": LOST,
    "acks=1, min ISR 2": LOST,
    "acks=all, min ISR 1": ["10 unknown, not there", "10 kept", "5 kept", "5 lost"],
    "acks=all, min ISR 2": ["10 unknown, not there", "10 unknown, there", "5 refused", "5 refused"],
}


@pytest.mark.proven_by("labsupport/experiments/breaking/broker_deaths.py", "labsupport/broker/*.py")
def test_what_survives_when_brokers_die_is_the_same_each_time(elsewhere):
    """Ctrl-C keeps the finished trials and ends all brokers; then the whole matrix is what lesson 18 teaches."""
    file = elsewhere.home / "crashlab-brokers.jsonl"
    command = [sys.executable, "-m", "labsupport", "crashlab", "--brokers"]
    running = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until(lambda: broker_deaths.read(file), 300, "the first trial")
    until(lambda: processes.running(elsewhere, ["private"]), 300, "the brokers of the next", every=0.1)
    running.send_signal(signal.SIGINT)
    assert "Stopped." in running.communicate(timeout=300)[1]
    assert running.returncode == 130
    assert not processes.running(elsewhere, ["program", "private"])
    kept = broker_deaths.read(file)
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=400)
    assert ended.returncode == 0, ended.stderr
    found = broker_deaths.read(file)
    assert len(found) == 3 * len(SETTINGS) > len(kept)
    assert found[: len(kept)] == kept
    table = Matrix(found).table
    assert {name: list(row) for name, row in table.iterrows()} == EXPECTED
    assert "5 refused" in ended.stdout
