"""Running a learner's answer: whatever it is and whatever it does, a sentence comes of it and the kernel lives."""

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
from labsupport.course import memory
from labsupport.course.judged import Failed, Judged, NotAttempted, TryAgain
from labsupport.course.missing_imports import name_advice
from labsupport.course.plain_values import has_not_run, is_a, plain
from labsupport.course.sandbox import WAITING, Clock, Kept, TimeUp, exit_raises, where
from labsupport.errors import LabError

__all__ = ["Failed", "Judged", "NotAttempted", "Submission", "TryAgain", "as_set", "in_words", "kind_of", "shown"]

STUB = "Write your code in place of the three dots, run that cell, then this one."
# What is handed over itself and not a copy, and how a learner would call it.
HANDLES = {KafkaProducer: "producer", KafkaConsumer: "consumer", sqlite3.Connection: "database"}


class Submission:
    """What the learner handed to `check`; calling it runs their code, guarded.

    All calls together have `seconds` on the clock.
    """

    def __init__(self, value: Any, call: str, seconds: float):
        """`call` is how the exercise calls the function, such as `broken(records)`."""
        self.value, self.signature, self.seconds = value, call, seconds
        self.printed = Kept()
        self.calls: list[memory.Call] = []
        self._pristine = b""
        self._clock = Clock(seconds)
        self._context = decimal.getcontext().copy()  # the kernel's; the check has its own, which stays as it is

    def require_function(self) -> None:
        """Raise the verdict for an answer that is no function of the right form."""
        name, _, parameters = self.signature.partition("(")
        wanted = f"check wants the function itself, without parentheses after it: {name}"
        if self.value is ...:
            raise NotAttempted(says=STUB)
        if not callable(self.value):
            kind = "nothing (None)" if self.value is None else f"{shown(self.value)}, which is {kind_of(self.value)}"
            raise TryAgain(says="That is not a function.", given=kind, look_at=wanted)
        if inspect.isclass(self.value):
            raise TryAgain(says=f"{self.value.__name__} is a class.", look_at=wanted)
        with contextlib.suppress(TypeError, ValueError):  # some callables in C do not tell their parameters
            expected = parameters.rstrip(")").split(", ")
            form = inspect.signature(self.value)
            try:
                form.bind(*expected)
            except TypeError:
                raise TryAgain(
                    says="Your function cannot be called as the exercise calls it.",
                    given=f"{self.signature}, with {counted(len(expected), 'argument')}",
                    came_back=f"yours is {getattr(self.value, '__name__', 'made')}{form}",
                    look_at="the names are free, their number and order are not",
                ) from None
        self._pristine = memory.pristine(self.value)

    def __call__(self, *arguments: Any, returns: type | tuple[type, ...], asks: str = "") -> Any:
        """Call the learner's function with copies of `arguments`; what comes back has to be of type `returns`.

        A client of Kafka's, a database and an error are handed over themselves.

        `asks` says in words what the exercise asks for, where the types do not. The result is handed on as a plain int,
        Decimal, bytes …, a Collection as a tuple. Otherwise raises NotAttempted, TryAgain or Failed.
        """
        # A copy of an error would not be equal to it.
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
                look_at="a sleep, or a wait for something that does not come"
                if waited
                else "a loop that never ends, or far more work than the task needs",
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
                says="Your function changed what it was given.",
                given=self.called(*arguments),
                came_back=self.called(*given) + ", afterwards",
                rule="what others read too must stay as it was",
                look_at="build a new list or dict, such as sorted(x) instead of x.sort()",
            )
        self._require_kind(result, returns, asks, arguments)
        if memory.depends_on_arguments(arguments, tuple(HANDLES)):
            self.calls.append(memory.Call(arguments, returns, result))
        return result

    def require_no_memory(self) -> None:
        """Raise TryAgain if one of the calls so far comes back differently without those before it."""
        copies: dict[int, Submission] = {}

        def ask(function: Any, call: memory.Call) -> Any:
            # All calls of a copy have the time that all calls of the answer had.
            asked = copies.setdefault(id(function), Submission(function, self.signature, self.seconds))
            try:
                return asked(*call.arguments, returns=call.kinds)
            except Failed as failed:
                if isinstance(failed.error, memory.MISSED):
                    return memory.Raised(failed.error)
                raise

        if differs := memory.differing(self._pristine, self.calls, ask):
            raise TryAgain(
                says="Your function remembers something of earlier calls.",
                given=self.called(*differs.call.arguments),
                came_back=f"{shown(differs.call.result, 140)}\nand without the calls before it: "
                f"{shown(differs.first, 140)}",
                rule="the same input has the same result, whatever was asked before: after a restart nothing was",
                look_at="what keeps its content between two calls: a default argument such as found={}, or a name "
                "outside of the function?",
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
            look_at = "write `def`, not `async def`: nobody awaits it here"
        elif has_not_run(result):
            look_at = "a function with `yield` returns a generator: collect the values and `return` them"
            if object in kinds:
                look_at = "a function with `yield` does nothing by being called: take the `yield` out"
        elif isinstance(result, Iterator):
            look_at = "it can be read once only: put list(…) around it"
        elif not look_at:
            look_at = f"the exercise asks for {asks or ' or '.join(each.__name__ for each in kinds)}"
        raise TryAgain(
            says="What came back has the wrong type.",
            given=self.called(*arguments),
            came_back="nothing (None)" if result is None else f"{shown(result)}, which is {kind_of(result)}",
            look_at=look_at,
        )


def as_set(values: Collection[Any]) -> set[Any]:
    """The values as a set; what cannot be in one (a list, a dict) is there as its text."""
    members = set()
    for each in values:
        try:
            members.add(each)
        except TypeError:
            members.add(shown(each))
    return members


def shown(value: Any, most: int = 300) -> str:
    """`repr` of a value, however long or broken that is."""
    try:
        line = repr(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return line if len(line) <= most else line[: most - 2] + " …"


def _role(argument: Any) -> str:
    """An argument as the learner would type it: a value in full, a client or a function by its name."""
    for kind, name in HANDLES.items():
        if isinstance(argument, kind):
            return name
    return argument.__name__ if inspect.isfunction(argument) else shown(argument)


def in_words(value: Any) -> str:
    """A value as one line of a report: text without its quotes, and not endless."""
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
    """Whether a machine that stands still can be the cause."""
    locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
    return locked or isinstance(error, KafkaError | LabError | TimeoutError)


def _advice(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "a function that calls itself: on which input does it stop?"
    if isinstance(error, SystemExit):
        return "`return` ends a function, and `raise` ends it with an error that others hear of"
    if isinstance(error, NameError):
        return name_advice(error.name or "")
    if isinstance(error, KeyError):
        return "not every input has that key: look at the one that was given"
    return "try this line on what was given"
