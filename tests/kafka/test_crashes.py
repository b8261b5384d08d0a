"""Crash for real: strategies in processes that die, and the laboratory that finds the smallest story."""

import json

import pytest

from labsupport import lesson, plots, reading
from labsupport.base import LabError
from labsupport.broker import roster
from labsupport.experiments import crashes, strategies, torture
from labsupport.experiments.crashes import POINTS
from labsupport.experiments.strategies import STRATEGIES, Strategy


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("90")


@pytest.fixture(scope="module")
def matrix(lab):
    """Every strategy at every point, once."""
    return crashes.run(lab)


def cells(matrix, what, strategy):
    """By crash point: how many events."""
    return matrix.cells(what).loc[strategy].dropna().to_dict()


def test_with_an_inbox_nothing_is_lost_and_nothing_happens_twice(matrix):
    """Though events came again: it really met them."""
    row = matrix.table.loc["inbox"]
    assert (row.trials, row.lost, row.twice) == (len(POINTS), 0, 0)
    assert row.redelivered > 0


def test_who_commits_first_loses_and_who_processes_first_doubles_in_every_trial_that_crashes_there(matrix):
    """Forced, not by chance."""
    assert cells(matrix, "lost", "commit each record first")["after commit"] == 1
    assert cells(matrix, "lost", "commit each record first")["before handling"] == 1
    assert sum(cells(matrix, "twice", "commit each record first").values()) <= 1  # a zombie's work
    for point in "after handling", "before commit", "inside a rebalance", "zombie":
        assert cells(matrix, "twice", "process, then commit")[point] == 1
    assert sum(cells(matrix, "lost", "process, then commit").values()) == 0


def test_two_transactions_fail_in_one_way_or_the_other(matrix):
    """Between effect and mark."""
    assert cells(matrix, "twice", "effect, then mark")["between effect and mark"] == 1
    assert cells(matrix, "lost", "mark, then effect")["between effect and mark"] == 1


def test_the_matrix_is_drawn_and_said(matrix):
    """Every strategy and every point is in the words of its picture."""
    words = repr(plots.crashes(matrix).figure)
    assert all(strategy.name in words for strategy in STRATEGIES)
    assert all(point in words for point in POINTS)


def test_what_was_played_is_not_played_again(lab, tmp_path):
    """Interrupted half-way, it goes on from its file; a damaged file is told."""
    file = tmp_path / "results.jsonl"
    first = crashes.run(lab, STRATEGIES[2:3], ["after commit"], file=file)
    assert len(file.read_text().splitlines()) == 1
    both = crashes.run(lab, STRATEGIES[2:3], ["after commit", "before commit"], file=file)
    assert len(file.read_text().splitlines()) == 2
    assert first.results[0] in both.results
    file.write_text(json.dumps({"no": "result"}) + "\n")
    with pytest.raises(LabError, match="holds no results"):
        crashes.run(lab, STRATEGIES[2:3], ["after commit"], file=file)


def test_an_unknown_point_is_refused(lab):
    """With the names of those that there are."""
    with pytest.raises(LabError, match="before handling"):
        crashes.run(lab, points=["at noon"])


def skips_ahead(consumer, handle):
    """A loop that commits past a record that is not done: it handles the first one of each poll last."""
    ended = reading.at_the_end(consumer)
    while not ended():
        for batch in consumer.poll(timeout_ms=200).values():
            for record in batch[1:]:
                handle(record)
            consumer.commit(reading.after(batch[-1]))
            handle(batch[0])


@pytest.mark.parametrize(
    ("how", "broken"),
    [
        ({"consume": strategies.commit_first, "handle": strategies.inbox_and_effect}, "lost"),
        ({"handle": strategies.effect}, "twice"),
        ({"consume": skips_ahead, "handle": strategies.inbox_and_effect, "settings": {"max_poll_records": 2}}, "lost"),
        ({"handle": strategies.effect_then_mark}, "twice"),
        ({"handle": strategies.mark_then_effect}, "lost"),
    ],
    ids=["commit first", "no inbox", "commit past a gap", "inbox in another transaction", "mark first"],
)
def test_each_broken_worker_is_caught_with_its_story(lab, how, broken):
    """The laboratory that judges learners is judged itself."""
    judged = torture.judge(lab, **how)
    assert judged.story.broken == broken
    assert judged.story.says.count(".") == 2
    assert "process 1" in torture.told(judged.story)
    words = repr(plots.spacetime(judged.story.moments).figure)
    assert "producer" in words
    assert "consumer 2" in words
    assert not roster.running(lab.settings, ["program"])


def test_the_labs_own_worker_survives_with_the_inbox(lab):
    """Every crash point of each of three events, then seeds; and an event that is published twice."""
    judged = torture.judge(lab, handle=strategies.inbox_and_effect)
    assert judged.story is None
    assert judged.tried > 20
    assert lab.groups(lab.namespace) == []


def test_a_handler_that_never_ends_is_cut_off(lab):
    """It has its seconds, and then a story."""
    judged = torture.judge(lab, handle=sleeps, seconds=3.0)
    assert judged.story.broken in ("no end", "uncommitted", "lost")
    assert not roster.running(lab.settings, ["program"])


def sleeps(_event, _database):
    """A handler that never comes back."""
    import time

    time.sleep(600)


def test_a_strategy_that_raises_is_a_story_too(lab):
    """With what it printed."""
    judged = torture.judge(lab, handle=raises)
    assert judged.story.broken == "no end"
    assert "I was here" in judged.story.printed
    assert "cannot process" in judged.story.says


def raises(_event, _database):
    """A handler that prints and raises."""
    print("I was here")
    raise ValueError("cannot process it")


def test_the_strategies_have_names_of_their_own():
    """Results are kept by name."""
    assert len({strategy.name for strategy in STRATEGIES}) == len(STRATEGIES) == 6
    assert Strategy("mine").consume is strategies.worker
