"""Real crashes: strategies in processes that die, and the search that finds the smallest counterexample."""

import json
import os
import signal
import subprocess
import sys

import cloudpickle
import pytest

from labsupport import lesson, plots, reading
from labsupport.broker import processes
from labsupport.delivery import orders
from labsupport.errors import LabError
from labsupport.experiments.breaking import crash_search, crashes, strategies
from labsupport.experiments.breaking.crashes import POINTS, Matrix
from labsupport.experiments.breaking.strategies import STRATEGIES, Strategy
from labsupport.settings import CHECKOUT
from labsupport.waiting import until

# By value, as a notebook's: otherwise each process of a trial would import this file, and pandas with it.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("90")


def cells(matrix, what, strategy):
    """The numbers of events by crash point."""
    return matrix.cells(what).loc[strategy].dropna().to_dict()


def require_lessons_07_and_08(matrix):
    """What the two lessons say about the six strategies: by construction, not by chance."""
    row = matrix.table.loc["inbox"]
    assert (row.trials, row.lost, row.twice) == (len(POINTS), 0, 0)
    assert row.redelivered > 0  # it really met redelivered records
    assert cells(matrix, "lost", "commit each record first")["after commit"] == 1
    assert cells(matrix, "lost", "commit each record first")["before handling"] == 1
    assert sum(cells(matrix, "twice", "commit each record first").values()) <= 1  # a zombie's work
    for point in "after handling", "before commit", "inside a rebalance", "zombie":
        assert cells(matrix, "twice", "process, then commit")[point] == 1
    assert sum(cells(matrix, "lost", "process, then commit").values()) == 0
    assert cells(matrix, "twice", "effect, then mark")["between effect and mark"] == 1
    assert cells(matrix, "lost", "mark, then effect")["between effect and mark"] == 1


def require_drawn(matrix):
    """The description of the matrix names every strategy and every point."""
    words = repr(plots.crashes(matrix).figure)
    assert all(strategy.name in words for strategy in STRATEGIES)
    assert all(point in words for point in POINTS)


def test_a_fault_can_be_told_where_to_strike(lab):
    """Whatever the seed: the second commit covers the second poll, three records, of which none is processed."""
    (result,) = crashes.run(lab, STRATEGIES[:1], ["after commit"], nth=2).results
    assert (result.nth, result.lost, result.twice) == (2, 3, 0)


def test_a_trial_that_was_run_is_not_run_again(lab, tmp_path):
    """An interrupted run continues from its file; a damaged file is an error."""
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
    """The error lists the points."""
    with pytest.raises(LabError, match="before handling"):
        crashes.run(lab, points=["at noon"])


def skips_ahead(consumer, handle):
    """A loop that commits past an unhandled record: it handles the first one of each poll last."""
    ended = reading.at_the_end(consumer)
    while not ended():
        for batch in consumer.poll(timeout_ms=200).values():
            for record in batch[1:]:
                handle(record)
            consumer.commit(reading.after(batch[-1]))
            handle(batch[0])


def skips_what_fails(consumer, handle):
    """A loop that ignores errors, and commits past the failed record with the next one."""
    for record in reading.to_the_end(consumer):
        try:
            handle(record)
        except Exception:
            continue
        consumer.commit(reading.after(record))


def reads_all_again(consumer, handle):
    """A loop that does not continue at the committed offset."""
    while not consumer.assignment():
        consumer.poll(timeout_ms=100)  # with 0, on a busy machine, this loop leaves the client's thread no time to join
    consumer.seek_to_beginning()
    strategies.process_then_commit(consumer, handle)


@pytest.mark.parametrize(
    ("how", "violation"),
    [
        ({"consume": strategies.commit_first, "handle": strategies.inbox_and_effect}, "lost"),
        ({"handle": strategies.effect}, "twice"),
        ({"consume": skips_ahead, "handle": strategies.inbox_and_effect, "settings": {"max_poll_records": 2}}, "lost"),
        ({"handle": strategies.effect_then_mark}, "twice"),
        ({"handle": strategies.mark_then_effect}, "lost"),
        ({"consume": skips_what_fails, "handle": strategies.inbox_and_effect}, "lost"),
        ({"consume": reads_all_again, "handle": strategies.inbox_and_effect}, "again"),
    ],
    ids=[
        "commit first",
        "no inbox",
        "past a gap",
        "inbox in another transaction",
        "mark first",
        "skips what fails",
        "from the beginning",
    ],
)
def test_each_broken_worker_has_a_counterexample(lab, programs, how, violation):
    """The search that judges learners is tested too."""
    judged = crash_search.search(lab, **how)
    assert judged.counterexample.violation == violation, (
        f"{judged.counterexample.summary}\n{judged.counterexample.moments}"
    )
    assert judged.counterexample.summary.count(".") == 2
    assert "process 1" in crash_search.narrate(judged.counterexample)
    words = repr(plots.spacetime(judged.counterexample.moments).figure)
    assert "producer" in words
    assert ("consumer 2" in words) == ("died" in judged.counterexample.crash)
    assert not programs(lab.settings)


def test_the_labs_own_worker_survives_with_the_inbox(lab):
    """Every crash point of three events, then seeds, and an event that is published twice."""
    judged = crash_search.search(lab, handle=strategies.inbox_and_effect)
    assert judged.counterexample is None
    assert judged.tried > 20
    assert lab.groups(lab.namespace) == []


def test_a_handler_that_never_ends_is_cut_off(lab, programs):
    """After `seconds` there is a counterexample."""
    judged = crash_search.search(lab, handle=sleeps, seconds=3.0)
    assert judged.counterexample.violation in ("no end", "uncommitted", "lost")
    assert not programs(lab.settings)


def sleeps(_event, _database):
    """A handler that never returns."""
    import time

    time.sleep(600)


def test_a_strategy_that_raises_is_a_counterexample(lab):
    """With what it printed."""
    judged = crash_search.search(lab, handle=raises)
    assert judged.counterexample.violation == "no end"
    assert "I was here" in judged.counterexample.printed
    assert "cannot process" in judged.counterexample.summary


def raises(_event, _database):
    """A handler that prints and raises."""
    print("I was here")
    raise ValueError("cannot process it")


def test_the_strategies_have_names_of_their_own():
    """Results are stored by name."""
    assert len({strategy.name for strategy in STRATEGIES}) == len(STRATEGIES) == 6
    assert Strategy("mine").consume is strategies.worker


def once_per_position(event, database):
    """An inbox whose id is the number of effects so far: like an offset, it differs for a copy."""
    with database:
        number = database.execute("SELECT count(*) FROM effects").fetchone()[0]
        if database.execute("INSERT OR IGNORE INTO inbox VALUES (?, 0)", (str(number),)).rowcount:
            orders.effect(database, event)


def never_commits(consumer, handle):
    for record in reading.to_the_end(consumer):
        handle(record)


def writes_another_id(event, database):
    with database:
        database.execute("INSERT INTO effects VALUES ('mine', '', '')")


@pytest.mark.parametrize(
    ("code", "violation", "says"),
    [
        ({"handle": lambda event, database: os._exit(3)}, "no end", "exit code 3"),
        ({"handle": lambda event, database: sys.exit(4)}, "no end", "exit code 4"),
        ({"handle": lambda event, database: None}, "lost", "no effect"),
        ({"handle": writes_another_id}, "lost", "no effect"),
        ({"consume": never_commits, "handle": strategies.inbox_and_effect}, "uncommitted", "3 records uncommitted"),
        ({"consume": lambda consumer, handle: None}, "uncommitted", "3 records uncommitted"),
    ],
)
def test_code_of_any_kind_gets_a_verdict(lab, programs, code, violation, says):
    """Code that kills its process, exits, does nothing or does something else; no process of it stays."""
    found = crash_search.search(lab, **code).counterexample
    assert (found.violation, found.crash) == (violation, "Nothing crashed.")
    assert says in found.summary
    assert not programs(lab.settings)


def test_the_search_publishes_an_event_again(lab):
    """An id that differs for the copy does not identify the event."""
    found = crash_search.search(lab, handle=once_per_position, seeds=0).counterexample
    assert found.violation == "twice", f"{found.summary}\n{found.moments}"


def test_an_interrupted_crash_lab_cleans_up_and_continues_to_the_whole_matrix(elsewhere):
    """Ctrl-C keeps the results and ends all processes. The whole matrix then shows what the lessons teach."""
    file = elsewhere.home / "crashlab.jsonl"
    command = [sys.executable, "-m", "labsupport", "crashlab", "--seeds", "1"]
    running = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until(lambda: file.exists() and len(crashes.read(file)) > 2, 300, "some trials")
    running.send_signal(signal.SIGINT)
    assert "Stopped." in running.communicate(timeout=300)[1]
    assert running.returncode == 130
    assert not processes.running(elsewhere, ["program", "private"])
    kept = len(crashes.read(file))
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert "inbox" in ended.stdout
    assert len(crashes.read(file)) == 42 > kept
    matrix = Matrix(crashes.read(file))
    require_lessons_07_and_08(matrix)
    require_drawn(matrix)
