"""Decisions after a failed attempt: bounds hold, outages are not poison, and jitter is reproducible."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import CommitFailedError, KafkaTimeoutError

from labsupport.delivery.retry import (
    DEAD_LETTER,
    PAUSE,
    PERMANENT,
    RETRY,
    STOP,
    TRANSIENT,
    UNKNOWN,
    Decision,
    Policy,
    classify,
    decide,
)
from labsupport.errors import EventError, LabError, PermanentError, TransientError
from labsupport.shop.event import Event

ERRORS = {TRANSIENT: TransientError("down"), PERMANENT: PermanentError("no"), UNKNOWN: KeyError("user")}

seconds = st.floats(0.001, 1e6)
policies = st.builds(
    lambda attempts, total, waits, jitter, seed: Policy(attempts, total, min(waits), max(waits), jitter, seed),
    st.integers(1, 50),
    st.floats(0, 1e6),
    st.tuples(seconds, seconds),
    st.floats(0, 1),
    st.integers(),
)
kinds = st.sampled_from([TRANSIENT, PERMANENT, UNKNOWN])


def story(policy, kind, coordinates=""):
    """The decisions about an event that fails each time, up to the first that is no retry."""
    decisions, waited = [], 0.0
    while not decisions or decisions[-1].what == RETRY:
        decisions.append(decide(len(decisions) + 1, waited, ERRORS[kind], policy, coordinates))
        waited += decisions[-1].seconds
    return decisions


@given(policies, kinds)
def test_retries_end_within_attempts_and_total_time(policy, kind):
    """However the policy is set: never more attempts, never a longer time, and no wait beyond its bounds."""
    *retries, last = story(policy, kind)
    assert len(retries) < policy.attempts
    assert sum(decision.seconds for decision in retries) <= policy.timeout
    for attempt, decision in enumerate(retries, start=1):
        assert policy.longest(attempt) * (1 - policy.wait_jitter) <= decision.seconds <= policy.longest(attempt)
    assert policy.longest(len(retries) + 1) <= policy.wait_max
    assert last.what != RETRY


@given(policies, st.integers(1, 10**6), st.floats(0, 1e9))
def test_an_outage_is_no_poison_and_poison_is_not_retried(policy, attempt, waited):
    """A transient error never makes a dead letter, a permanent one always, an unknown one never a pause."""
    what = {kind: decide(attempt, waited, error, policy).what for kind, error in ERRORS.items()}
    assert what[TRANSIENT] in (RETRY, PAUSE)
    assert what[PERMANENT] == DEAD_LETTER
    assert what[UNKNOWN] in (RETRY, DEAD_LETTER)


@given(policies, st.integers(1, 10**6), st.floats(0, 1e9))
def test_a_pause_is_no_longer_than_the_longest_wait(policy, attempt, waited):
    """So that the end of an outage is noticed; and only a dead letter waits for nothing."""
    decision = decide(attempt, waited, ERRORS[TRANSIENT], policy)
    assert 0 <= decision.seconds <= policy.wait_max
    if policy.wait_jitter < 1:
        assert decision.seconds > 0


@given(policies, kinds, st.text(max_size=5))
def test_the_same_seed_gives_the_same_decisions(policy, kind, coordinates):
    """On every machine, in every process: jitter depends on the policy's seed and the event's coordinates."""
    assert story(policy, kind, coordinates) == story(policy, kind, coordinates)


def test_waits_double_up_to_the_longest():
    """Without jitter: the exact numbers."""
    policy = Policy(attempts=7, wait_initial=0.5, wait_max=5, wait_jitter=0)
    assert [decision.seconds for decision in story(policy, TRANSIENT)] == [0.5, 1, 2, 4, 5, 5, 5]
    assert [decision.what for decision in story(policy, TRANSIENT)] == [RETRY] * 6 + [PAUSE]
    assert story(policy, PERMANENT) == [Decision(DEAD_LETTER, 0.0, PERMANENT)]
    assert story(policy, UNKNOWN)[-1] == Decision(DEAD_LETTER, 0.0, UNKNOWN)


@given(policies, st.sampled_from([PAUSE, DEAD_LETTER, STOP]), kinds, st.floats(0, 1e6))
def test_an_outage_is_reported_when_it_lasts_too_long_and_no_earlier(policy, then, kind, waited):
    """Then comes what the policy says; the other kinds have an end of their own."""
    policy = replace(policy, outage=1_000.0, then=then)
    decision = decide(3, waited, ERRORS[kind], policy)
    late = kind == TRANSIENT and waited >= 1_000
    assert decision.overdue == (waited if late else 0)
    if late and then != PAUSE:
        assert (decision.what, decision.seconds) == (then, 0)
    elif kind == TRANSIENT:
        assert decision.what in (RETRY, PAUSE)


def test_chance_differs_between_events_attempts_and_seeds():
    """Otherwise all events that failed together would be retried together."""
    waits = [
        decide(attempt, 0, ERRORS[TRANSIENT], Policy(wait_initial=1, wait_max=1, seed=seed), coordinates).seconds
        for attempt in (1, 2)
        for seed in (0, 1)
        for coordinates in ("orders/0/1", "orders/0/2")
    ]
    assert len(set(waits)) == 8


def test_the_total_time_ends_it_before_the_attempts_do():
    """A handler may take long: what counts is the time since the first failure, and the wait that would come."""
    policy = Policy(attempts=100, timeout=10, wait_initial=1, wait_max=1, wait_jitter=0)
    assert decide(2, 9.0, ERRORS[UNKNOWN], policy).what == RETRY
    assert decide(2, 9.5, ERRORS[UNKNOWN], policy).what == DEAD_LETTER
    assert decide(2, 9.5, ERRORS[TRANSIENT], policy).what == PAUSE


def raised(action):
    """The error that `action` raises."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any error
        action()
    return caught.value


def wrapped(cause):
    """An error of a handler's own, raised from another one."""
    error = RuntimeError("payment failed")
    error.__cause__ = cause
    return error


def test_errors_are_classified(tmp_path):
    """By what they say about the event; what is wrapped, by its cause."""
    database = tmp_path / "shop.db"
    with closing(sqlite3.connect(database)) as ours, closing(sqlite3.connect(database, timeout=0)) as theirs:
        ours.execute("CREATE TABLE effects (id TEXT PRIMARY KEY)")
        ours.execute("BEGIN EXCLUSIVE")
        locked = raised(lambda: theirs.execute("INSERT INTO effects VALUES ('1')"))
        ours.execute("INSERT INTO effects VALUES ('2')")
        twice = raised(lambda: ours.execute("INSERT INTO effects VALUES ('2')"))
        misspelt = raised(lambda: ours.execute("INSERT INTO efects VALUES ('1')"))
    gone = raised(lambda: sqlite3.connect(tmp_path / "no" / "such" / "folder.db"))
    transient = [locked, gone, ConnectionRefusedError(), TimeoutError(), KafkaTimeoutError(), TransientError()]
    permanent = [raised(lambda: Event.decode(b"{")), PermanentError(), wrapped(EventError("no value"))]
    unknown = [twice, misspelt, CommitFailedError(), KeyError("user"), wrapped(KeyError("user"))]
    for kind, errors in {
        TRANSIENT: [*transient, wrapped(locked), wrapped(wrapped(locked))],
        PERMANENT: permanent,
        UNKNOWN: unknown,
    }.items():
        assert {repr(error): classify(error) for error in errors} == dict.fromkeys(map(repr, errors), kind)


def test_an_error_that_is_its_own_cause_is_classified_too():
    """A circle of causes ends."""
    error, other = RuntimeError("a"), RuntimeError("b")
    error.__cause__, other.__cause__ = other, error
    assert classify(error) == UNKNOWN


def test_who_knows_better_says_so():
    """A policy's own classification; one that returns nonsense is an error."""
    assert decide(1, 0, TimeoutError(), Policy(classify=lambda error: PERMANENT)).what == DEAD_LETTER
    with pytest.raises(LabError, match="classified as 'fatal'"):
        decide(1, 0, TimeoutError(), Policy(classify=lambda error: "fatal"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"attempts": 0}, "attempts is 0"),
        ({"attempts": 2.5}, "attempts is 2.5"),
        ({"wait_initial": 0}, "wait_initial is 0 s"),
        ({"wait_initial": 20}, "wait_initial is 20 s, and wait_max 10.0 s"),
        ({"wait_max": float("inf")}, "wait_max inf s"),
        ({"timeout": -1}, "timeout is -1 s"),
        ({"timeout": float("nan")}, "timeout is nan s"),
        ({"wait_jitter": 1.5}, "wait_jitter is 1.5"),
        ({"outage": float("inf")}, "outage is inf s"),
        ({"outage": 0}, "outage is 0 s"),
        ({"then": "carry on"}, "then is 'carry on'"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(given, said):
    """When it is made, and not at the first failure."""
    with pytest.raises(LabError, match=said):
        Policy(**given)
