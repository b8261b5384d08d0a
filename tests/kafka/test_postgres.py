"""PostgreSQL from a wheel, where it can be fetched: what a relay sees of an outbox with several writers."""

import dataclasses
import os
import sys

import pytest

from labsupport.broker import processes
from labsupport.errors import LabError
from labsupport.experiments.breaking import postgres, postgres_outbox

SKIP = "PostgreSQL is not in the cache: `with lab.postgres(): pass` in a notebook fetches it (18 MB)"


@pytest.fixture(scope="module")
def running(settings):
    """A PostgreSQL for all of these tests."""
    if not postgres.fetched(settings) and not os.environ.get("CI"):
        pytest.skip(SKIP)
    with postgres.running(settings) as found:
        yield found


def test_a_relay_that_goes_on_after_the_highest_id_loses_a_row(running):
    """A mark for each row finds it; so does waiting for older transactions, in order; the log has it, too."""
    found = postgres_outbox.gap(running)
    assert {way: tuple(row) for way, row in zip(found.index, found.values, strict=True)} == {
        "id > last": ("B", "–", "A"),
        "not sent": ("B", "A", "–"),
        "older than every open transaction": ("–", "A, B", "–"),
        "the database's log": ("B", "A", "–"),
    }


def test_two_relays_share_the_rows_if_they_skip_locked_ones(running):
    """Without a lock both send all."""
    found = postgres_outbox.two_relays(running)
    assert found.values.tolist() == [["1, 2, 3", "1, 2, 3"], ["1, 2, 3", "4, 5, 6"]]


def test_it_ends_with_its_owner_and_leaves_nothing(settings):
    """Process, data, and the folder in Python's path."""
    if not postgres.fetched(settings):
        pytest.skip(SKIP)
    before = list(sys.path)
    with postgres.running(settings) as found:
        data = found.process.log.parent
        assert found.process.pid in {each.process.pid for each in processes.running(settings, ["program"])}
    assert not found.process.alive
    assert not data.exists()
    assert sys.path == before


def test_without_a_network_it_says_what_to_do(settings, tmp_path):
    """Nothing is left in the cache."""
    offline = dataclasses.replace(settings, cache=tmp_path / "cache", offline=tmp_path)
    with pytest.raises(LabError, match="Could not fetch PostgreSQL") as caught:
        postgres.provide(offline)
    assert "LAB_OFFLINE" in caught.value.next_step
    assert not postgres.fetched(offline)
