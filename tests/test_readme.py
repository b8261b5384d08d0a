"""The figures of the README are those that a command wrote into `measured/`; CONTRIBUTING says which."""

import json
import re
from collections import Counter

import pytest

from labsupport.experiments.breaking import broker_deaths, crashes
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


@pytest.mark.parametrize("file", ["crashes.jsonl", "outbox.jsonl"])
def test_the_tables_of_crashes_are_what_was_counted(file):
    """A row for each strategy: trials, lost, twice, redelivered."""
    for name, row in crashes.Matrix(crashes.read(MEASURED / file)).table.iterrows():
        assert f"| {name} | {' | '.join(map(str, row))} |" in README


def test_the_table_of_dying_brokers_is_what_was_counted():
    """A row for each pair of settings, a cell for each death; ten trials of each."""
    results = broker_deaths.read(MEASURED / "brokers.jsonl")
    assert len(results) == 10 * len(broker_deaths.DEATHS) * len(broker_deaths.SETTINGS)
    for name, row in broker_deaths.Matrix(results).table.iterrows():
        acks, min_isr = name.removeprefix("acks=").split(", min ISR ")
        assert f"| {acks} | {min_isr} | {' | '.join(row)} |" in README


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


def test_what_holds_of_the_article_is_what_the_claims_say():
    """How many statements hold as they stand, and how many under a condition; the conditions named are such."""
    claims = (CHECKOUT / "notebooks" / "claims.md").read_text(encoding="utf-8")
    verdicts = dict(re.findall(r"^\| (A\d+) \|.+?\|.+?\| (holds if|holds|does not hold)", claims, re.MULTILINE))
    count = Counter(verdicts.values())
    assert f"Of {len(verdicts)} statements {count['holds']} hold as they stand, and {count['holds if']} under" in README
    section = README.split("## What of the article holds")[1].split("\n## ")[0]
    assert {verdicts[number] for number in re.findall(r"A\d+", section)} == {"holds if"}
    assert "does not hold" not in verdicts.values()  # such a one belongs in the section first


@pytest.mark.parametrize("name", ["road.png", "crashes.png", "brokers.png"])
def test_the_pictures_are_there_with_what_they_show_in_words(name):
    """Each with an alternative text."""
    assert (MEASURED / name).read_bytes().startswith(b"\x89PNG")
    alternative = README.split(f"](measured/{name})")[0].rpartition("![")[2]
    assert len(alternative.split()) > 8
