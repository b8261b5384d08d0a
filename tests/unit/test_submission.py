"""Running what learners submit: whatever it does, the result is a sentence."""

import contextlib
import functools
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Collection
from decimal import Decimal
from enum import Enum
from fractions import Fraction

import numpy
import pandas
import pytest

from labsupport.course import sandbox
from labsupport.course.sandbox import has_alarm
from labsupport.course.submission import Failed, Judged, NotAttempted, Submission, TryAgain, as_set


def judged(value, *arguments, returns=int, call="f(x)", seconds=0.3) -> Judged | int:
    """The verdict on an answer, or what it returned."""
    answer = Submission(value, call, seconds)
    try:
        answer.require_function()
        return answer(*(arguments or (1,)), returns=returns)
    except Judged as verdict:
        return verdict


def say(verdict: Judged) -> str:
    """All fields of a verdict."""
    return " | ".join(verdict.fields.values())


async def asynchronous(x):
    return x


def generator(x):
    yield x


class Class:
    def __init__(self, x):
        pass


class Callable:
    def __call__(self, x):
        return x


class EvilRepr:
    def __repr__(self):
        raise ValueError


class EvilError(Exception):
    def __str__(self):
        raise ValueError


def raising(error):
    """A function that raises it."""

    def f(_x):
        raise error

    return f


@pytest.mark.parametrize(
    ("value", "kind", "phrase"),
    [
        (..., NotAttempted, "three dots"),
        (lambda x: ..., NotAttempted, "three dots"),
        (None, TryAgain, "nothing (None)"),
        (3, TryAgain, "3, which is an int"),
        (EvilRepr(), TryAgain, "whose repr raises ValueError"),
        (Class, TryAgain, "Class is a class"),
        (lambda: 1, TryAgain, "f(x), with 1 argument | yours is <lambda>()"),
        (lambda a, b: 1, TryAgain, "yours is <lambda>(a, b)"),
        (lambda *, x: 1, TryAgain, "yours is <lambda>(*, x)"),
        (asynchronous, TryAgain, "`def`, not `async def`"),
        (generator, TryAgain, "a function with `yield` returns a generator"),
        (lambda x: None, TryAgain, "is there a `return` on every path"),
        (lambda x: True, TryAgain, "True, which is a bool"),
        (lambda x: 1.0, TryAgain, "1.0, which is a float"),
        (lambda x: "1", TryAgain, "'1', which is a str"),
        (lambda x: EvilRepr(), TryAgain, "whose repr raises"),
        (lambda x: iter([x]), TryAgain, "put list(…) around it"),
        (raising(ValueError("no such order")), Failed, "Your code raised ValueError: no such order"),
        (raising(EvilError()), Failed, "Your code raised EvilError: no message"),
        (raising(SystemExit()), Failed, "Your code called exit()"),
        (raising(SystemExit(1)), Failed, "end a function with `return`"),
        (lambda x: 1.5, TryAgain, "Your function returned the wrong type."),
        (raising(GeneratorExit()), Failed, "Your code raised GeneratorExit"),
        (lambda x: sys.exit(0), Failed, "Your code called exit()"),
        (lambda x: undefined, Failed, "run the cells above that define the name"),  # noqa: F821
        (lambda x: retry, Failed, "an import is missing: from labsupport import retry"),  # noqa: F821
        (lambda x: json.loads(x), Failed, "an import is missing: import json"),  # noqa: F821
        (lambda x: Decimal_(x), Failed, "run the cells above that define the name"),  # noqa: F821
        (lambda x: KafkaTimeoutError, Failed, "from kafka.errors import KafkaTimeoutError"),  # noqa: F821
        (lambda x: {}[x], Failed, "line "),
    ],
)
def test_every_wrong_kind_of_answer_gets_its_sentence(value, kind, phrase):
    """None, another arity, a generator, a class, a coroutine, one that raises or exits."""
    verdict = judged(value)
    assert type(verdict) is kind
    assert phrase in say(verdict)


@pytest.mark.parametrize(
    ("value", "phrase"), [(generator, "remove the `yield`"), (asynchronous, "`def`, not `async def`")]
)
def test_code_that_has_not_run_is_told_so_where_nothing_has_to_come_back(value, phrase):
    """A function without a result to judge may return anything but that."""
    assert phrase in say(judged(value, returns=object))
    assert judged(lambda x: None, returns=object) is None


@pytest.mark.parametrize("value", [Callable(), functools.partial(max, 0), lambda *a: a[0], lambda x, y=2: x, abs])
def test_right_answers_come_in_other_styles(value):
    """Objects with __call__, partial functions, lambdas, functions written in C."""
    assert judged(value) == 1


def test_recursion_without_end_is_an_error_and_not_a_crash():
    """With the question that helps."""

    def f(x):
        return f(x)

    assert "on which input does it stop?" in say(judged(f))


def test_the_line_that_raised_is_the_learners_own():
    """Not the library's in which it ended up."""

    def f(x):
        import json

        return json.loads("{")

    assert judged(f).fields["where"].endswith('return json.loads("{")')


def test_what_was_given_is_not_changed_for_others():
    """The function gets copies; changing them is a fault."""
    given = [1, 2]
    verdict = judged(lambda x: x.append(3) or 1, given)
    assert given == [1, 2]
    assert "Your function changed its arguments." in say(verdict)
    assert verdict.fields["came_back"] == "f([1, 2, 3]), after the call"


def test_an_error_is_handed_over_itself():
    """A copy would not be equal, so the function would seem to have changed it."""
    error = KeyError("amount")
    assert judged(lambda given: int(given is error), error) == 1


def test_what_it_prints_is_kept_and_not_shown_twice(capsys):
    """The beginning of it; right answers may print."""
    answer = Submission(lambda x: print("y" * 5000) or x, "f(x)", 1)
    assert answer(1, returns=int) == 1
    assert capsys.readouterr().out == ""
    assert answer.printed.text == "y" * 600


def loop(x):
    while True:
        pass


def stubborn(x):
    while True:
        try:
            while True:
                time.sleep(0.01)
        except:  # noqa: E722
            pass


def very_stubborn(x):
    while True:
        try:
            time.sleep(10)
        except BaseException:
            with contextlib.suppress(BaseException):
                time.sleep(10)


def finally_loop(x):
    try:
        time.sleep(10)
    finally:
        while True:
            pass


def returning(x):
    try:
        time.sleep(10)
    except BaseException:
        return x


def waiting(x):
    threading.Event().wait()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no alarm")
@pytest.mark.parametrize(
    "value", [loop, stubborn, very_stubborn, finally_loop, returning, waiting, lambda x: time.sleep(99)]
)
def test_what_never_ends_is_cut_off(value, monkeypatch):
    """Loops, sleeps, waits, and those that catch everything; afterwards no alarm and no tracing is left."""
    monkeypatch.setattr(sandbox, "WAITING", 0.2)
    before = signal.getsignal(signal.SIGALRM), sys.gettrace()
    verdict = judged(value)
    assert "Your code had not ended after 0.3 s" in say(verdict)
    assert ("of computing" in verdict.fields["says"]) == (value is loop)
    assert not verdict.timed  # what the machine did not let it run is not counted
    assert bool(verdict.fields["where"]) == (value is not returning)
    assert (signal.getsignal(signal.SIGALRM), sys.gettrace()) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no alarm")
def test_the_time_is_for_all_calls_together(monkeypatch):
    """A little sleep in each of many calls is too long as well."""
    monkeypatch.setattr(sandbox, "WAITING", 0.2)
    answer = Submission(lambda x: time.sleep(0.05) or x, "f(x)", 0.3)
    with pytest.raises(Failed) as caught:
        for _ in range(1000):
            answer(1, returns=int)
    assert "had not ended" in say(caught.value)


class Endless:
    def __len__(self):
        return 1

    def __contains__(self, x):
        return False

    def __iter__(self):
        while True:
            yield "A"


def test_what_comes_back_is_plain():
    """Comparisons of a subclass, and reading what has no end, would be the learner's code again."""

    class Agreeable(int):
        def __eq__(self, other):
            return True

        __hash__ = int.__hash__

    assert type(judged(lambda x: Agreeable(x))) is int
    assert judged(lambda x: Endless(), returns=Collection) == ("A",) * 10_000
    assert judged(lambda x: bytearray(b"x"), returns=bytes) == b"x"
    assert as_set(["A", ["B"], ("C", [1])]) == {"A", "['B']", "('C', [1])"}


@pytest.mark.parametrize(
    ("value", "returns", "right"),
    [
        (numpy.int64(3), int, 3),
        (numpy.uint8(3), int, 3),
        (Fraction(6, 2), int, 3),
        (numpy.float32(0.5), float, 0.5),
        (Decimal("0.5"), (int, float, str), 0.5),
        (Fraction(1, 2), (int, float, str), 0.5),
        (Fraction(1, 2), (Decimal, int, float), Decimal("0.5")),
        (Fraction(1, 3), (Decimal, int, float), 1 / 3),
        (2, (Decimal, int, float), 2),
        (Decimal("1.50"), (Decimal, int, float), Decimal("1.50")),
        (numpy.float64(1.5), (Decimal, int, float), 1.5),
        (numpy.True_, bool, True),
        (numpy.str_("A"), str, "A"),
        (Enum("Word", {"SAFE": "safe"}, type=str).SAFE, str, "safe"),
        (numpy.bytes_(b"A"), bytes, b"A"),
        ({numpy.int64(0): numpy.int64(2)}, dict, {0: 2}),
        ({numpy.str_("A"): [numpy.int64(0), (numpy.int8(1),)]}, dict, {"A": [0, (1,)]}),
        (Counter({"A": numpy.int64(2)}), dict, {"A": 2}),
        ([{numpy.int64(1)}, [numpy.bool_(False)]], list, [{1}, [False]]),
        (numpy.array([1, 2]), Collection, (1, 2)),
        (pandas.Series([1, 2]), Collection, (1, 2)),
        (pandas.Series({"A": 1}).to_dict(), dict, {"A": 1}),
        ({"A": Fraction(4, 2)}, dict, {"A": 2}),
    ],
)
def test_a_number_is_a_number_whoever_made_it(value, returns, right):
    """Python's own come out of it, at any depth: judges compare, ask for the type, and show them."""
    found = judged(lambda x: value, returns=returns)
    assert (repr(found), type(found)) == (repr(right), type(right))


@pytest.mark.parametrize("value", [True, 1.0, Decimal(1), "1", numpy.True_, numpy.float64(1)])
def test_what_is_no_whole_number_is_told_so(value):
    """1.0 is not an offset."""
    assert isinstance(judged(lambda x: value), TryAgain)


def test_what_has_no_numbers_to_mend_is_handed_on_itself():
    """Dead letters and other values that are compared by what they are."""
    letters = [object(), object()]
    assert judged(lambda x: letters, returns=list) is letters
    assert judged(lambda x: letters, returns=Collection)[0] is letters[0]


def test_ctrl_c_is_not_swallowed():
    """Interrupting the kernel must end the cell."""
    with pytest.raises(KeyboardInterrupt):
        judged(raising(KeyboardInterrupt()))


def test_in_another_thread_there_is_no_alarm():
    """It still runs, and `has_alarm` says so."""
    found = []
    thread = threading.Thread(target=lambda: found.extend([has_alarm(), judged(lambda x: x)]))
    thread.start()
    thread.join(300)
    assert found == [False, 1]
