"""Guards a learner's code: an alarm, `exit()` made an error, output kept, and the line that raised."""

import contextlib
import io
import linecache
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, TracebackType
from typing import Any

from labsupport.course import stall
from labsupport.settings import CHECKOUT

NO_ALARM = "There is no alarm here: if your code does not end, interrupt the kernel (Kernel, Interrupt)."
TICK = 0.1  # s between two looks at the clock
WAITING = 5.0  # s that an answer may wait beyond its processor time
MOST_IMPORTING = 60.0  # s
MOST_PRINTED = 600  # characters of an answer's output that are kept
# files whose code is not the learner's
NOT_LEARNERS = (
    "<frozen",
    str(CHECKOUT / "labsupport"),
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)


class TimeUp(BaseException):
    """Not an Exception, so that the learner's `except Exception` does not catch it."""


class Clock:
    """The time that an answer has used in all its calls; `seconds` of processor time are allowed.

    Waiting (a sleep, a missing record, a disk) may take WAITING more. Time that this machine gave to others does not
    count, nor does importing a library.
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.used = self.wall = self.imported = 0.0  # s: processor, wall clock, and wall clock of imports
        self.machine = stall.Machine()
        self._at, self._spent = (0.0, 0.0), ""
        self._boundary: CodeType | None = None

    @contextlib.contextmanager
    def running(self, boundary: CodeType) -> Iterator[None]:
        """Count the body of a `with`, and raise TimeUp in it when the time is used up; `boundary` as for `alarm`."""
        with stall.witness(self.machine):
            self._at, self._boundary = (time.monotonic(), time.thread_time()), boundary
            try:
                with alarm(self._over, boundary, first=0.01 if self.over else TICK):
                    yield
            finally:
                self._count()

    @property
    def over(self) -> str:
        """What is used up: "processor", "waiting", or "" for nothing. It never goes back."""
        what = self._spent or used_up(self.seconds, self.used, self.wall, self.machine.busy)
        if what == "waiting" and not self._spent and stall.overdue():
            return ""  # this machine stands still, and the witness has not noted it yet
        self._spent = what
        return what

    def _over(self, frame: FrameType | None) -> bool:
        self._count(importing=_imports(frame, self._boundary))
        return bool(self.over)

    def _count(self, importing: bool = False) -> None:
        now = (time.monotonic(), time.thread_time())
        wall, used = now[0] - self._at[0], now[1] - self._at[1]
        self._at = now
        if importing and self.imported < MOST_IMPORTING:
            self.imported += wall
        else:
            self.wall, self.used = self.wall + wall, self.used + used


def used_up(seconds: float, used: float, wall: float, busy: float) -> str:
    """What is used up, as `Clock.over`; `busy` is the share of the time that the machine gave to others."""
    if used >= seconds:
        return "processor"
    return "waiting" if wall * (1 - busy) - used >= seconds + WAITING else ""


def _imports(frame: FrameType | None, boundary: CodeType | None) -> bool:
    while frame is not None and frame.f_code is not boundary:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def alarm(over: Callable[[FrameType | None], bool], boundary: CodeType, first: float = TICK) -> Iterator[None]:
    """Raise TimeUp in the body of a `with` when `over(frame)` is true. Does nothing where there is no alarm.

    It is called after `first` seconds and then every TICK, with the running frame. `boundary` is the code that calls
    the learner's function: the alarm leaves its callers alone.
    """
    if not has_alarm():
        yield
        return
    rung = 0
    cleaning = (__file__, contextlib.__file__, boundary.co_filename)

    def ring(_number: int, frame: FrameType | None) -> None:
        nonlocal rung
        if frame and frame.f_code.co_filename in cleaning and frame.f_code is not boundary:
            return  # already on the way out; otherwise it rings again
        if not over(frame):
            return
        rung += 1
        if rung > 1:  # code that catches everything gets it at each of its lines
            sys.settrace(_raise_time_up)
            while frame is not None and frame.f_code is not boundary:
                frame.f_trace = _raise_time_up(frame, "call", None)
                frame = frame.f_back
        raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    tracing = sys.gettrace()
    timer = signal.setitimer(signal.ITIMER_REAL, first, TICK)
    try:
        yield
        if rung:  # the code caught TimeUp, and returned
            raise TimeUp
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.settrace(tracing)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def has_alarm() -> bool:
    """Whether code that does not end can be stopped: not on Windows, and only in the main thread."""
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def _raise_time_up(frame: FrameType, event: str, _argument: Any) -> Callable | None:
    """A trace function (sys.settrace) that raises at each line of the learner's code only."""
    if event == "line":
        raise TimeUp
    return _raise_time_up if is_learners(frame.f_code.co_filename) else None


@contextlib.contextmanager
def exit_raises() -> Iterator[None]:
    """For the body of a `with`: exit() raises SystemExit in a notebook too, where it would end the kernel."""
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
    """A stream that keeps the first characters only."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        """Like a file's; reports everything as written."""
        if len(self.text) < MOST_PRINTED:
            self.text = (self.text + text)[:MOST_PRINTED]
        return len(text)


def where(error: BaseException) -> str:
    """The line of the learner's code that raised, with its number in the cell."""
    found = ""
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if is_learners(code.co_filename):
            line = linecache.getline(code.co_filename, traceback.tb_lineno).strip()
            found = f"line {traceback.tb_lineno}" + (f": {line}" if line else "")
        traceback = traceback.tb_next
    return found


def is_learners(filename: str) -> bool:
    """Whether the file belongs neither to the lab nor to a library."""
    return not filename.startswith(NOT_LEARNERS)
