"""Runs a learner's answer: whatever it is or does, the result is a sentence, and the kernel survives."""

import contextlib
import copy
import decimal
import inspect
import sqlite3
from collections.abc import Collection, Iterator
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from labsupport.console import counted
from labsupport.course import earlier_calls
from labsupport.course.missing_imports import name_advice
from labsupport.course.outcomes import Failed, Judged, NotAttempted, TryAgain
from labsupport.course.plain_values import has_not_run, is_a, plain
from labsupport.course.sandbox import WAITING, Clock, Kept, TimeUp, exit_raises, where
from labsupport.errors import LabError

__all__ = ["Failed", "Judged", "NotAttempted", "Submission", "TryAgain", "as_set", "in_words", "kind_of", "shown"]

STUB = "Write your code in place of the three dots, run that cell, then this one."
# arguments that are not copied, and their names in messages
HANDLES = {KafkaProducer: "producer", KafkaConsumer: "consumer", sqlite3.Connection: "database"}


class Submission:
    """What the learner passed to `check`; calling it runs their code, guarded.

    All calls together may use `seconds` of processor time.
    """

    def __init__(self, value: Any, call: str, seconds: float):
        """`call` is how the exercise calls the function, such as `out_of_order(records)`."""
        self.value, self.signature, self.seconds = value, call, seconds
        self.printed = Kept()
        self.calls: list[earlier_calls.Call] = []
        self._pristine = b""
        self._clock = Clock(seconds)
        self._context = decimal.getcontext().copy()  # the kernel's; the check's own context stays unchanged

    def require_function(self) -> None:
        """Raise NotAttempted or TryAgain unless the answer is a function with the right number of parameters."""
        name, _, parameters = self.signature.partition("(")
        wanted = f"pass the function itself, without parentheses after it: {name}"
        if self.value is ...:
            raise NotAttempted(says=STUB)
        if not callable(self.value):
            kind = "nothing (None)" if self.value is None else f"{shown(self.value)}, which is {kind_of(self.value)}"
            raise TryAgain(says="That is not a function.", given=kind, look_at=wanted)
        if inspect.isclass(self.value):
            raise TryAgain(says=f"{self.value.__name__} is a class.", look_at=wanted)
        with contextlib.suppress(TypeError, ValueError):  # some callables in C have no signature
            expected = list(filter(None, parameters.rstrip(")").split(", ")))
            form = inspect.signature(self.value)
            try:
                form.bind(*expected)
            except TypeError:
                raise TryAgain(
                    says="Your function cannot be called as the exercise calls it.",
                    given=f"{self.signature}, with {counted(len(expected), 'argument')}",
                    came_back=f"yours is {getattr(self.value, '__name__', 'made')}{form}",
                    look_at="you may rename the parameters, but not change their number or order",
                ) from None
        self._pristine = earlier_calls.pristine(self.value)

    def __call__(self, *arguments: Any, returns: type | tuple[type, ...], asks: str = "") -> Any:
        """Call the learner's function with copies of `arguments`; the result must have the type `returns`.

        Kafka clients, databases and errors are not copied.

        `asks` describes the wanted result where the types do not suffice. Returns it as a plain int, Decimal, bytes …,
        and a Collection as a tuple. Raises NotAttempted, TryAgain or Failed.
        """
        # A copy of an error would not be equal to the original.
        themselves = {id(each): each for each in arguments if isinstance(each, (*HANDLES, BaseException))}
        given = copy.deepcopy(arguments, themselves)
        try:
            with (
                exit_raises(),  # before the clock: it may have to import IPython
                self._clock.running(boundary=Submission.__call__.__code__),
                decimal.localcontext(self._context),
                contextlib.redirect_stdout(self.printed),
            ):
                result = plain(self.value(*given), returns if isinstance(returns, tuple) else (returns,))
        except KeyboardInterrupt:
            raise
        except TimeUp as error:
            waited = self._clock.over == "waiting"
            raise Failed(
                says=f"Your code had not ended after {self.seconds:g} s"
                + (f" and {WAITING:g} s of waiting." if waited else " of computing."),
                given=self.called(*arguments),
                where=where(error),
                look_at="is there a sleep, or a wait for something that never comes?"
                if waited
                else "is there a loop that never ends, or far more work than the task needs?",
            ) from None
        except BaseException as error:
            failed = Failed(
                timed=_timed(error),
                says=_raised(error),
                given=self.called(*arguments),
                where=where(error),
                look_at=_advice(error),
            )
            failed.error = error
            raise failed from None
        if result is ...:
            raise NotAttempted(says=STUB)
        if given != arguments:
            raise TryAgain(
                says="Your function changed its arguments.",
                given=self.called(*arguments),
                came_back=self.called(*given) + ", after the call",
                rule="others may read the arguments too, so they must stay unchanged",
                look_at="build a new list or dict: for example sorted(x) instead of x.sort()",
            )
        self._require_kind(result, returns, asks, arguments)
        if earlier_calls.depends_on_arguments(arguments, tuple(HANDLES)):
            self.calls.append(earlier_calls.Call(arguments, returns, result))
        return result

    def require_no_memory(self) -> None:
        """Raise TryAgain if one of the calls so far has another result without the calls before it."""
        copies: dict[int, Submission] = {}

        def ask(function: Any, call: earlier_calls.Call) -> Any:
            # All calls of a copy together have the time of the answer.
            asked = copies.setdefault(id(function), Submission(function, self.signature, self.seconds))
            try:
                return asked(*call.arguments, returns=call.kinds)
            except Failed as failed:
                if isinstance(failed.error, earlier_calls.MISSED):
                    return earlier_calls.Raised(failed.error)
                raise

        if differs := earlier_calls.differing(self._pristine, self.calls, ask):
            raise TryAgain(
                says="Your function remembers something from earlier calls.",
                given=self.called(*differs.call.arguments),
                came_back=f"{shown(differs.call.result, 140)}\nbut without the calls before it: "
                f"{shown(differs.first, 140)}",
                rule="the same input must give the same result, whatever came before: after a restart, nothing has",
                look_at="what keeps its content between calls: a default argument such as found={}, or a name "
                "outside the function?",
            )

    def called(self, *arguments: Any) -> str:
        """The call as the learner would type it."""
        inside = ", ".join(_role(each) for each in arguments)
        return f"{self.signature.partition('(')[0]}({inside})"

    def _require_kind(self, result: Any, returns: type | tuple[type, ...], asks: str, arguments: tuple) -> None:
        kinds = returns if isinstance(returns, tuple) else (returns,)
        if any(is_a(result, kind) for kind in kinds):
            return
        look_at = "is there a `return` on every path through the function?" if result is None else ""
        if inspect.iscoroutine(result):
            result.close()
            look_at = "write `def`, not `async def`: nothing awaits it here"
        elif has_not_run(result):
            look_at = "a function with `yield` returns a generator: collect the values and `return` them"
            if object in kinds:
                look_at = "calling a function with `yield` runs none of its lines: remove the `yield`"
        elif isinstance(result, Iterator):
            look_at = "an iterator can be read only once: put list(…) around it"
        elif not look_at:
            look_at = f"the exercise asks for {asks or ' or '.join(each.__name__ for each in kinds)}"
        raise TryAgain(
            says="Your function returned the wrong type.",
            given=self.called(*arguments),
            came_back="nothing (None)" if result is None else f"{shown(result)}, which is {kind_of(result)}",
            look_at=look_at,
        )


def as_set(values: Collection[Any]) -> set[Any]:
    """The values as a set; unhashable ones (a list, a dict) as their text."""
    members = set()
    for each in values:
        try:
            members.add(each)
        except TypeError:
            members.add(shown(each))
    return members


def shown(value: Any, most: int = 300) -> str:
    """`repr` of a value, shortened, even if it raises."""
    try:
        line = repr(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return line if len(line) <= most else line[: most - 2] + " …"


def _role(argument: Any) -> str:
    """An argument as the learner would type it: a value, or the name of a client or function."""
    for kind, name in HANDLES.items():
        if isinstance(argument, kind):
            return name
    return argument.__name__ if inspect.isfunction(argument) else shown(argument)


def in_words(value: Any) -> str:
    """A value as one short line; text without quotes."""
    return " ".join(value.split())[:200] if isinstance(value, str) else shown(value, 200)


def kind_of(value: Any) -> str:
    """A value's type with its article: `an int`."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _raised(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "Your code called exit(), which would end the kernel."
    try:
        message = str(error)
    except Exception:
        message = ""
    return f"Your code raised {type(error).__name__}: {message or 'no message'}"[:400]


def _timed(error: BaseException) -> bool:
    """Whether a machine that stood still can be the cause."""
    locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
    return locked or isinstance(error, KafkaError | LabError | TimeoutError)


def _advice(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "the function calls itself: on which input does it stop?"
    if isinstance(error, SystemExit):
        return "end a function with `return`, or with an error: `raise`"
    if isinstance(error, NameError):
        return name_advice(error.name or "")
    if isinstance(error, KeyError):
        return "not every input has that key: look at this one"
    return "try this line on the given input"
