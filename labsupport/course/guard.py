"""The guard around a learner's code: an alarm, `exit()` caught, prints kept, and the line in which it raised."""

import contextlib
import io
import linecache
import signal
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, TracebackType
from typing import Any

from labsupport.base import CHECKOUT

NO_ALARM = "There is no alarm here: if your code does not end, interrupt the kernel (Kernel, Interrupt)."
MOST_PRINTED = 600  # characters that are kept of what an answer prints
# Where code lies that is not the learner's.
NOT_LEARNERS = (
    "<frozen",
    str(CHECKOUT / "labsupport"),
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)


class TimeUp(BaseException):
    """Not an Exception, so that an `except Exception` of the learner's does not keep it."""


@contextlib.contextmanager
def alarm(seconds: float, boundary: CodeType) -> Iterator[None]:
    """Raise TimeUp in the body of a `with` after `seconds`. Where there is no alarm, nothing is cut off.

    `boundary` is the function that calls the learner's: frames above it are nobody's business here.
    """
    if not has_alarm():
        yield
        return
    rung = 0
    cleaning = (__file__, contextlib.__file__, boundary.co_filename)

    def ring(_number: int, frame: FrameType | None) -> None:
        nonlocal rung
        if frame and frame.f_code.co_filename in cleaning and frame.f_code is not boundary:
            return  # on the way out already; if not, it rings again
        rung += 1
        if rung > 1:  # code that catches everything gets it at each of its lines, until it gives up
            sys.settrace(_raise_time_up)
            while frame is not None and frame.f_code is not boundary:
                frame.f_trace = _raise_time_up(frame, "call", None)
                frame = frame.f_back
        raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    tracing = sys.gettrace()
    timer = signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01), 0.25)
    try:
        yield
        if rung:  # it caught what cut it off, and returned
            raise TimeUp
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.settrace(tracing)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def has_alarm() -> bool:
    """Whether code that does not end can be cut off: not on Windows, and only in the main thread."""
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def _raise_time_up(frame: FrameType, event: str, _argument: Any) -> Callable | None:
    """A trace function (sys.settrace) that raises at each line of the learner's code, and of nobody else's."""
    if event == "line":
        raise TimeUp
    return _raise_time_up if _is_learners(frame.f_code.co_filename) else None


@contextlib.contextmanager
def exit_raises() -> Iterator[None]:
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
        shell.__dict__.pop("ask_exit", None)


class Kept(io.TextIOBase):
    """Keeps the beginning of what is written, however much it is."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        """As a file's: says that all of it was written."""
        if len(self.text) < MOST_PRINTED:
            self.text = (self.text + text)[:MOST_PRINTED]
        return len(text)


def where(error: BaseException) -> str:
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
    return not filename.startswith(NOT_LEARNERS)
