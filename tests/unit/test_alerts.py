"""The alert rules on recordings from a real broker (tests/record_shapes.py), in Python. Pure."""

import pytest

from labsupport.experiments.watching import lag_series
from labsupport.experiments.watching.lag_series import Sample
from labsupport.observability import alerts

HAPPENED = 10.0  # seconds from the beginning of each recording to what happens in it

# Which rule must wake somebody, and within how many seconds after it happened; the others must sleep throughout.
WAKES = {
    "healthy": {},
    "batch job": {},
    "poison": {"PartitionStuck": 8},
    "dead consumer": {"ConsumerGroupDead": 12},
    "no traffic, dead consumer": {"NobodyReads": 15},
    "slow, keeping up": {},
}


def fired(shape):
    """By rule, when it first fired on the recording."""
    samples = lag_series.read()[shape]
    found = {
        name: alerts.first_firing(lambda seen, rule=rule: rule(seen, alerts.QUICK), samples)
        for name, rule in alerts.RULES.items()
    }
    return {name: at for name, at in found.items() if at is not None}


@pytest.mark.parametrize("shape", WAKES)
def test_each_shape_wakes_whom_it_should(shape):
    """And in time: not before it happened."""
    found = fired(shape)
    assert found.keys() == WAKES[shape].keys()
    for rule, within in WAKES[shape].items():
        assert HAPPENED < found[rule] <= HAPPENED + within, rule


def test_a_fixed_threshold_cannot_tell_the_shapes_apart():
    """Whatever the threshold: either it wakes for a batch or a steady lag, or it sleeps at a dead consumer."""
    highest = {shape: max(each.lag for each in samples) for shape, samples in lag_series.read().items()}
    assert highest["dead consumer"] < highest["slow, keeping up"] < highest["batch job"]
    assert highest["no traffic, dead consumer"] <= highest["healthy"] + 5


def test_an_age_alone_wakes_for_the_batch_job_too():
    """All records of a batch are equally old: the age of the oldest grows while the lag gets smaller."""
    samples = lag_series.read()["batch job"]
    assert alerts.first_firing(lambda seen: (seen[-1].age or 0) > alerts.QUICK.age, samples) is not None


def at(seconds, **values):
    """A sample of partition 0."""
    return Sample(
        **{"at": float(seconds), "partition": 0, "members": 1, "end": 100, "committed": 50, "lag": 50} | values
    )


def series(count=8, **values):
    """A sample a second; a value may be a function of the second."""
    return [
        at(second, **{name: value(second) if callable(value) else value for name, value in values.items()})
        for second in range(count)
    ]


def fires(samples):
    """The rules that hold for the last sample."""
    return [name for name, rule in alerts.RULES.items() if rule(samples, alerts.QUICK)]


def test_the_edges():
    """Unknown ages, nothing committed, a consumer without membership, a short memory."""
    grows = {"age": lambda second: 10.0 + second, "end": lambda second: 100 + second, "lag": lambda second: 50 + second}
    assert fires([]) == []
    assert fires(series(3, members=0, age=9.0)) == []  # too short to say anything
    assert fires(series(members=0, **grows)) == ["ConsumerGroupDead"]
    assert fires(series(members=0, committed=None, **grows)) == ["ConsumerGroupDead"]
    assert fires(series(members=0, committed=lambda second: 50 + second, age=1.0)) == []  # assigned by hand
    assert fires(series(committed=None, **grows)) == ["PartitionStuck"]
    assert fires(series(committed=lambda second: 50 + second, **grows)) == ["ConsumerFallingBehind"]
    assert fires(series(age=None)) == []
    assert fires(series(age=5.0)) == []  # not older than the limit
    assert fires(series(lag=1, age=0.0)) == []  # a transaction's marker
    assert fires(series(lag=0, age=0.0, members=0)) == ["NobodyReads"]
    assert fires(series(lag=0, age=0.0)) == []
    assert fires([*series(7, members=1, **grows), at(7, members=0, age=17.0)]) == []  # it left a second ago


def test_a_file_of_series_is_read_as_it_was_written(tmp_path):
    """None stays None."""
    samples = (at(0, age=None, committed=None), at(0.5, age=1.25, partition=1))
    lag_series.write(tmp_path / "series.csv", {"a, b": samples, "c": samples[:1]})
    assert lag_series.read(tmp_path / "series.csv") == {"a, b": samples, "c": samples[:1]}
    assert list(lag_series.table(samples).columns) == ["at", "partition", "members", "end", "committed", "lag", "age"]
