"""A function that fails once, and whether its error was heard of; and answers that remember earlier calls."""

import collections
import contextlib

import pytest

from labsupport.course.answer import Answer, Failed, TryAgain
from labsupport.course.failing import FailsOnce


def apply_all(function, values):
    for value in values:
        function(value)


def swallowing(function, values):
    for value in values:
        with contextlib.suppress(Exception):
            function(value)


def wrapping(function, values):
    try:
        apply_all(function, values)
    except ValueError as error:
        raise RuntimeError("not all of them") from error


def hiding(function, values):
    try:
        apply_all(function, values)
    except ValueError:
        raise RuntimeError("not all of them") from None


@pytest.mark.parametrize(
    ("value", "nth", "heard"),
    [(apply_all, 2, True), (wrapping, 1, True), (hiding, 1, True), (swallowing, 2, False), (apply_all, 4, False)],
)
def test_an_error_is_heard_of_or_swallowed(value, nth, heard):
    """Let out, or raised as another one; and a call that never came about was not swallowed."""
    done = []
    fails = FailsOnce(done.append, nth)
    answer = Answer(value, "apply_all(function, values)", 1.0)
    assert fails.came_out(lambda: answer(fails.handed, [1, 2, 3], returns=object)) is heard
    assert fails.raised == (nth <= 3)
    assert nth in (1, 4) or done[0] == 1


def test_another_error_is_not_taken_for_it():
    """The answer's own mistake gets its own verdict."""
    fails = FailsOnce(print)
    answer = Answer(lambda function, values: values["no"], "f(function, values)", 1.0)
    with pytest.raises(Failed) as caught:
        fails.came_out(lambda: answer(fails.handed, {}, returns=object))
    assert isinstance(caught.value.error, KeyError)


def judged(value, *asked):
    """What becomes of an answer that was asked these and was right: empty, or what is said of its memory."""
    answer = Answer(value, "f(x)", 1.0)
    answer.require_function()
    for each in asked:
        answer(each, returns=object)
    try:
        answer.require_no_memory()
    except TryAgain as verdict:
        return " | ".join(verdict.fields.values())
    return ""


KNOWN: dict[str, str] = {}
COUNTED: list[int] = []
CACHE: dict[int, int] = {}


def with_a_default(x, known={}):  # noqa: B006
    known.update(x)
    return known.get("order", "?")


def with_a_name_outside(x):
    KNOWN.update(x)
    return KNOWN.get("order", "?")


def with_a_key_error(x, known={}):  # noqa: B006
    known.update(x)
    return known["order"]


def by_the_number_of_calls(x):
    COUNTED.append(1)
    return len(COUNTED)


class Remembers:
    def __init__(self):
        self.first = None

    def __call__(self, x):
        self.first = self.first or dict(x)
        return self.first


@pytest.mark.parametrize(
    "value", [with_a_default, with_a_name_outside, with_a_key_error, by_the_number_of_calls, Remembers()]
)
def test_what_is_right_only_after_other_calls_is_told_so(value):
    """Also when it is checked a second time, and by then remembers everything."""
    for _ in range(2):
        said = judged(value, {"order": "A"}, {"payment": "B"})
        assert "Your function remembers something of earlier calls." in said
        assert "without the calls before it" in said


def cached(x):
    key = len(x)
    CACHE[key] = CACHE.get(key) or key * 2
    return CACHE[key]


@pytest.mark.parametrize(
    "value", [cached, lambda x: dict(x), lambda x: set(x), lambda x: object(), collections.Counter, dict.copy]
)
def test_what_has_the_same_result_or_none_that_can_be_compared_is_left_alone(value):
    """A cache by what was asked is none of these, nor is what is random, nor code in C."""
    if not isinstance(value, type):
        assert judged(value, {"order": "A"}, {"payment": "B"}, {}) == ""
