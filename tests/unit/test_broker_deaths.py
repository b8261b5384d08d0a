"""What became of a producer's records: how outcomes and the topic's contents are counted."""

import json

import pytest
from kafka import errors

from labsupport.errors import LabError
from labsupport.experiments.breaking import broker_deaths
from labsupport.experiments.breaking.broker_deaths import Matrix, Result, counted, in_words, outcome
from labsupport.experiments.watching import plots


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, "acknowledged"),
        (errors.NotEnoughReplicasError(), "refused"),
        (errors.MessageSizeTooLargeError(), "refused"),
        (errors.NotEnoughReplicasAfterAppendError(), "unknown"),  # it is in the leader's log
        (errors.UnknownError(), "unknown"),
        (errors.RequestTimedOutError(), "unknown"),
        (errors.KafkaTimeoutError(), "unknown"),
        (errors.KafkaConnectionError(), "unknown"),
    ],
)
def test_only_an_answer_that_says_so_is_a_refusal(error, said):
    """A time-out is not a "no", and neither is a lost connection, or an error after the append."""
    assert outcome(error) == said


def test_an_outcome_is_compared_with_what_the_topic_holds():
    """Each record counts once; a second copy of it is counted beside."""
    outcomes = ["acknowledged", "acknowledged", "refused", "refused", "unknown", "unknown"]
    assert counted(outcomes, [b"before", b"0", b"2", b"4", b"0"]) == {
        "kept": 1,
        "lost": 1,
        "refused_there": 1,
        "refused": 1,
        "unknown_there": 1,
        "unknown_gone": 1,
        "twice": 1,
    }
    assert counted(["acknowledged"], [])["lost"] == 1


def results() -> list[Result]:
    """Two seeds of one setting, clean and unclean, of two deaths."""
    return [
        Result(death, "1", 1, unclean, seed, **({"lost": 5} if unclean or death == "leader" else {"kept": 5}))
        for seed in (1, 2)
        for death in ("leader", broker_deaths.ALL)
        for unclean in (False, True)
    ]


def test_the_table_has_a_column_for_the_unclean_election_only_where_there_can_be_one():
    """If a replica is in sync, it is elected, whatever the setting: both settings are added up."""
    (row,) = Matrix(tuple(results())).sums().values()
    said = {column: in_words(cell) for column, cell in row.items()}
    assert said == {
        "leader": "20 lost",
        "followers, then leader, clean election": "10 kept",
        "followers, then leader, unclean election": "10 lost",
    }
    assert in_words({"kept": 1, "lost": 2, "unknown_there": 3}) == "2 lost, 3 unknown, there, 1 kept"


def test_the_picture_says_what_the_table_says():
    """The look of a cell is that of the worst outcome."""
    ax = plots.broker_deaths(Matrix(tuple(results())))
    assert [text.get_text() for text in ax.texts] == ["20 lost", "10 kept", "10 lost"]
    assert [patch.get_hatch() for patch in ax.patches] == ["//", "", "//"]
    assert repr(ax.figure) == (
        "Picture: deaths of brokers. acks=1, min ISR 1: leader 20 lost, "
        "followers, then leader, clean election 10 kept, followers, then leader, unclean election 10 lost."
    )


def test_a_damaged_file_and_an_unknown_death_are_refused(tmp_path, settings):
    """Before any broker is started."""
    file = tmp_path / "results.jsonl"
    file.write_text(json.dumps({"no": "result"}) + "\n")
    with pytest.raises(LabError, match="holds no results"):
        broker_deaths.run(settings, file=file)
    with pytest.raises(LabError, match="no death 'old age'"):
        broker_deaths.run(settings, deaths=["old age"])
