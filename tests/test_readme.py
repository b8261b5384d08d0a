"""The figures of the README are those that a command wrote into `measured/`; CONTRIBUTING says which."""

import json
from collections import Counter

import pytest

from labsupport.experiments.breaking import crashes
from labsupport.settings import CHECKOUT

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
MEASURED = CHECKOUT / "measured"


def read(name: str) -> str:
    """A file of `measured/`."""
    return (MEASURED / name).read_text(encoding="utf-8")


def rounded(value: float, unit: str) -> str:
    """Two digits, but no digits of a whole number are lost."""
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"


def test_the_tour_is_shown_as_it_was_printed():
    """All its lines."""
    assert "\n".join(f"    {line}".rstrip() for line in read("tour.txt").splitlines()) in README


def test_the_table_of_crashes_is_what_was_counted():
    """A row for each strategy: trials, lost, twice, redelivered."""
    table = crashes.Matrix(tuple(crashes.read(MEASURED / "crashes.jsonl"))).table
    for name, row in table.iterrows():
        assert f"| {name} | {' | '.join(map(str, row))} |" in README


def test_the_table_of_speeds_is_what_was_measured():
    """What has nothing to be compared with is left out."""
    bench = json.loads(read("bench.json"))
    assert bench["machine"] in README.replace("\n", " ")
    for row in bench["rows"]:
        if row["ratio"] is not None:
            lab, other = (rounded(row[which], row["unit"]) for which in ("lab", "other"))
            assert f"| {row['what']} | {lab} | {other} | {row['against']} | {row['ratio']:.2g} |" in README


def test_the_table_of_the_soak_is_what_was_counted():
    """How often each was done, and how often it went wrong; what was run in parts is added up."""
    times, problems = Counter(), Counter()
    for line in read("soak.jsonl").splitlines():
        row = json.loads(line)
        times[row["what"]] += row["times"]
        problems[row["what"]] += len(row["problems"])
    for what in times:
        assert f"| {what} | {times[what]:,} | {problems[what]:,} |" in README


@pytest.mark.parametrize("name", ["road.png", "crashes.png"])
def test_the_pictures_are_there_with_what_they_show_in_words(name):
    """Each with an alternative text."""
    assert (MEASURED / name).read_bytes().startswith(b"\x89PNG")
    alternative = README.split(f"](measured/{name})")[0].rpartition("![")[2]
    assert len(alternative.split()) > 8
