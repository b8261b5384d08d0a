"""Running a learner's answer: whatever it is and whatever it does, a sentence comes of it and the kernel lives."""

import contextlib
import copy
import inspect
import io
import linecache
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterator
from decimal import Decimal
from itertools import islice
from numbers import Integral
from types import FrameType, TracebackType
from typing import Any

from labsupport.base import CHECKOUT

NO_ALARM = "There is no alarm here: if your code does not end, interrupt the kernel (Kernel, Interrupt)."
STUB = "Write your code in place of the three dots, run that cell, then this one."
CLEANING = (__file__, contextlib.__file__)  # where an answer's context is taken down
MOST_ITEMS = 10_000  # of a collection that comes back
MOST_PRINTED = 600  # characters that are kept of what an answer prints


class Judged(Exception):  # noqa: N818 - it ends a check, as StopIteration ends a loop
    """The check has come to its end: `fields` are those of the verdict."""

    def __init__(self, **fields: str):
        self.fields = fields


class NotAttempted(Judged):
    """The stub is still there."""


class TryAgain(Judged):
    """A property does not hold."""


class Failed(Judged):
    """The learner's code raised, or did not end."""


class TimeUp(BaseException):
    """Not an Exception, so that an `except Exception` of the learner's does not keep it."""


class Answer:
    """What the learner handed to `check`; calling it runs their code, guarded.

    All calls together have `seconds` on the clock.
    """

    def __init__(self, value: Any, call: str, seconds: float):
        """`call` is how the exercise calls the function, such as `broken(records)`."""
        self.value, self.signature, self.seconds = value, call, seconds
        self.printed = _Kept()
        self._left = seconds

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
                    given=f"{self.signature}, with {len(expected)} argument{'s' * (len(expected) != 1)}",
                    came_back=f"yours is {getattr(self.value, '__name__', 'made')}{form}",
                    look_at="the names are free, their number and order are not",
                ) from None

    def __call__(self, *arguments: Any, returns: type | tuple[type, ...], asks: str = "") -> Any:
        """Call the learner's function with copies of `arguments`; what comes back has to be of type `returns`.

        `asks` says in words what the exercise asks for, where the types do not. The result is handed on as a plain int,
        Decimal, bytes …, a Collection as a tuple. Otherwise raises NotAttempted, TryAgain or Failed.
        """
        given = copy.deepcopy(arguments)
        try:
            with self._alarm(), _exit_raises(), contextlib.redirect_stdout(self.printed):
                result = _plain(self.value(*given), returns if isinstance(returns, tuple) else (returns,))
        except KeyboardInterrupt:
            raise
        except TimeUp as error:
            raise Failed(
                says=f"Your code had not ended after {self.seconds:g} s.",
                given=self.called(*arguments),
                where=_where(error),
                look_at="a loop that never ends, a sleep, or a wait for something that does not come",
            ) from None
        except BaseException as error:
            raise Failed(
                says=_raised(error), given=self.called(*arguments), where=_where(error), look_at=_advice(error)
            ) from None
        if result is ...:
            raise NotAttempted(says=STUB)
        if given != arguments:
            raise TryAgain(
                says="Your function changed what it was given.",
                given=self.called(*arguments),
                came_back=self.called(*given) + ", afterwards",
                broken="what others read too must stay as it was",
                look_at="build a new list or dict, such as sorted(x) instead of x.sort()",
            )
        self._require_kind(result, returns, asks, arguments)
        return result

    def called(self, *arguments: Any) -> str:
        """The call as the learner would type it."""
        inside = ", ".join(shown(each) for each in arguments)
        return f"{self.signature.partition('(')[0]}({inside})"

    def _require_kind(self, result: Any, returns: type | tuple[type, ...], asks: str, arguments: tuple) -> None:
        kinds = returns if isinstance(returns, tuple) else (returns,)
        if any(_is_a(result, kind) for kind in kinds):
            return
        look_at = "is there a `return` on every way through the function?" if result is None else ""
        if inspect.iscoroutine(result):
            result.close()
            look_at = "write `def`, not `async def`: nobody awaits it here"
        elif inspect.isgenerator(result) or inspect.isasyncgen(result):
            look_at = "a function with `yield` returns a generator: collect the values and `return` them"
        elif isinstance(result, Iterator):
            look_at = "it can be read once only: put list(…) around it"
        elif not look_at:
            look_at = f"the exercise asks for {asks or ' or '.join(each.__name__ for each in kinds)}"
        raise TryAgain(
            says="What came back is of another kind than asked for.",
            given=self.called(*arguments),
            came_back="nothing (None)" if result is None else f"{shown(result)}, which is {kind_of(result)}",
            look_at=look_at,
        )

    @contextlib.contextmanager
    def _alarm(self) -> Iterator[None]:
        """Raise TimeUp in the body of a `with` when the time is up. Where there is no alarm, nothing is cut off."""
        if not has_alarm():
            yield
            return
        rung = 0

        def ring(_number: int, frame: FrameType | None) -> None:
            nonlocal rung
            if frame and frame.f_code.co_filename in CLEANING and frame.f_code is not Answer.__call__.__code__:
                return  # on the way out already; if not, it rings again
            rung += 1
            if rung > 1:  # code that catches everything gets it at each of its lines, until it gives up
                sys.settrace(_raise_time_up)
                while frame is not None and frame.f_code is not Answer.__call__.__code__:
                    frame.f_trace = _raise_time_up(frame, "call", None)
                    frame = frame.f_back
            raise TimeUp

        begin = time.monotonic()
        before = signal.signal(signal.SIGALRM, ring)
        tracing = sys.gettrace()
        timer = signal.setitimer(signal.ITIMER_REAL, max(self._left, 0.01), 0.25)
        try:
            yield
            if rung:  # it caught what cut it off, and returned
                raise TimeUp
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            sys.settrace(tracing)
            signal.signal(signal.SIGALRM, before)
            signal.setitimer(signal.ITIMER_REAL, *timer)
            self._left -= time.monotonic() - begin


def has_alarm() -> bool:
    """Whether code that does not end can be cut off: not on Windows, and only in the main thread."""
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def _raise_time_up(frame: FrameType, event: str, _argument: Any) -> Callable | None:
    """A trace function (sys.settrace) that raises at each line of the learner's code, and of nobody else's."""
    if event == "line":
        raise TimeUp
    return _raise_time_up if _is_learners(frame.f_code.co_filename) else None


@contextlib.contextmanager
def _exit_raises() -> Iterator[None]:
    """In a notebook `exit()` would end the kernel after the cell; here it raises SystemExit, as everywhere else."""
    from IPython import get_ipython

    def ask_exit() -> None:
        raise SystemExit

    shell = get_ipython()
    if shell is None:
        yield
        return
    shell.ask_exit = ask_exit
    try:
        yield
    finally:
        del shell.ask_exit


class _Kept(io.TextIOBase):
    """Keeps the beginning of what is written, however much it is."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        if len(self.text) < MOST_PRINTED:
            self.text = (self.text + text)[:MOST_PRINTED]
        return len(text)


def as_set(values: Collection[Any]) -> set[Any]:
    """The values as a set; what cannot be in one (a list, a dict) is there as its text."""
    return {each if isinstance(each, Hashable) else repr(each) for each in values}


def shown(value: Any, most: int = 300) -> str:
    """`repr` of a value, however long or broken that is."""
    try:
        line = repr(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return line if len(line) <= most else line[: most - 2] + " …"


def _is_a(value: Any, kind: type) -> bool:
    """As isinstance, but True is no number, a number of numpy's is one, and text is no collection."""
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if kind is bytes:
        return isinstance(value, bytes | bytearray)
    return isinstance(value, kind) and not (kind is Collection and isinstance(value, str | bytes))


def in_words(value: Any) -> str:
    """A value as one line of a report: text without its quotes, and not endless."""
    return " ".join(value.split())[:200] if isinstance(value, str) else shown(value, 200)


def _plain(value: Any, kinds: tuple[type, ...]) -> Any:
    """A subclass's value as one of the type itself: its comparisons are the learner's code, and could say anything."""
    for kind in kinds:
        if kind in (int, float, Decimal, bytes, str) and _is_a(value, kind):
            return kind(value)
        if kind is Collection and _is_a(value, kind):
            return tuple(islice(value, MOST_ITEMS))
    return value


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


def _advice(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "a function that calls itself: on which input does it stop?"
    if isinstance(error, SystemExit):
        return "use `return` instead"
    if isinstance(error, NameError):
        return "run the cells above that define the name, or is it misspelt?"
    if isinstance(error, KeyError):
        return "not every input has that key: look at the one that was given"
    return "try this line on what was given"


def _where(error: BaseException) -> str:
    """The line of the learner's own code in which it happened, with its number in its cell."""
    found = ""
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if _is_learners(code.co_filename):
            line = linecache.getline(code.co_filename, traceback.tb_lineno).strip()
            found = f"line {traceback.tb_lineno}" + (f": {line}" if line else "")
        traceback = traceback.tb_next
    return found


def _is_learners(filename: str) -> bool:
    """Whether code in this file is neither the lab's nor a library's."""
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    lab = str(CHECKOUT / "labsupport")
    return not filename.startswith("<frozen") and not any(filename.startswith(each) for each in (lab, *libraries))
