"""`lab.py tour`: its sums, its exit code, and that nothing of it stays."""

import os
import re
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from labsupport import lesson, orders
from labsupport.commands import tour
from labsupport.errors import LabError
from labsupport.settings import CHECKOUT
from labsupport.shop.event import Event


@pytest.fixture
def left_over(programs):
    """`left_over(kafka, settings)`: what the tour has left: topics, groups, processes."""
    mine = "99-tour"
    return lambda kafka, settings: kafka.topics(mine) + kafka.groups(mine) + programs(settings)


def begun() -> subprocess.Popen:
    """A tour that has come as far as two members."""
    command = [sys.executable, "-m", "labsupport", "tour"]
    touring = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert any("group" in line for line in touring.stdout)
    return touring


def test_tour(cluster, settings, typed, left_over, tmp_path):
    """A dozen lines, and what they say adds up: redelivered, dead-lettered, redriven; every event once in the end.

    Topics, a group and two members of a killed tour do not disturb it.
    """
    with begun() as earlier:
        earlier.kill()
    assert left_over(cluster, settings)
    picture = tmp_path / "road.png"
    run = typed("tour", "--picture", str(picture))
    assert run.returncode == 0, run.stdout + run.stderr
    sheets = [list(map(int, re.findall(r"\d+", line)[:7])) for line in run.stdout.splitlines() if "produced =" in line]
    assert len(sheets) == 3
    for produced, processed, dead, waiting, unknown, lost, twice in sheets:
        assert produced == processed + dead
        assert waiting == unknown == lost == twice == 0
    redelivered = int(re.search(r"redelivery +(\d+) events", run.stdout)[1])
    redriven = int(re.search(r"(\d+) dead letters went back", run.stdout)[1])
    assert 0 < redelivered <= sheets[0][0]
    assert [dead for _, _, dead, *_ in sheets] == [0, redriven + 1, 1]
    assert re.search(r"replay .* the same\n", run.stdout)
    assert re.search(r"schema .* with one, 6 orders of both versions are read\n", run.stdout)
    assert re.search(r"trace +one event was attempted 4 times; a tracing system shows 3,", run.stdout)
    assert re.search(r"election +broker [23] leads now; 100 events acknowledged, 100 in the topic\n", run.stdout)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert left_over(cluster, settings) == []


def test_a_sheet_that_does_not_balance_is_an_error(own_home, left_over):
    """A service without an inbox processes redelivered events twice; the tour says so, and cleans up."""

    def forgets(path, _, record):
        with closing(orders.database(path)) as database, database:
            orders.effect(database, Event.decode(record.value))

    with lesson("99") as opened:
        with pytest.raises(LabError, match="does not balance") as caught:
            tour.play(opened, lambda *_: None, forgets)
        assert re.search(r"[1-9]\d* twice instead of 0", caught.value.seen)
        assert left_over(opened, own_home) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_leaves_nothing(cluster, settings, left_over):
    """In the middle, with two members running: they are gone, and so are topics and groups."""
    with begun() as touring:
        touring.send_signal(signal.SIGINT)
        _, errors = touring.communicate(timeout=300)
    assert touring.returncode == 130
    assert "Stopped" in errors
    assert left_over(cluster, settings) == []


def test_a_picture_that_cannot_be_written_is_a_sentence(lab, tmp_path):
    """Said before anything is tried."""
    run = lab("tour", "--picture", str(tmp_path))
    assert run.returncode == 2
    assert "is a directory" in run.stderr
