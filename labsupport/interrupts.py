"""What Ctrl-C and its like do for a while: they wait, or ask for an end instead of raising KeyboardInterrupt."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

# The signals of Ctrl-C, `kill` and a closed terminal (Windows has no SIGHUP).
INTERRUPTS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def interrupts_wait() -> Iterator[None]:
    """Hold back Ctrl-C, and other signals that this program handles, until the body of the `with` is done.

    Otherwise one could arrive after a process has started and before it is recorded, and nothing would end it.
    """
    arrived: list[int] = []
    waiting = {}
    if threading.current_thread() is threading.main_thread():  # other threads get no signals
        for number in INTERRUPTS:
            if callable(handler := signal.getsignal(number)):
                waiting[number] = handler
                signal.signal(number, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in waiting.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])


@contextlib.contextmanager
def handlers_restored() -> Iterator[None]:
    """After the body of a `with`, what Ctrl-C and its like do is what it was before it.

    What a service or a library leaves behind would swallow every later Ctrl-C of the program, or end it at once.
    """
    own = threading.current_thread() is threading.main_thread()  # other threads cannot change them
    before = {number: signal.getsignal(number) for number in INTERRUPTS} if own else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def interrupts_call(function: Callable[[], object]) -> Iterator[None]:
    """For the body of a `with`, let Ctrl-C and its like call `function` instead of raising KeyboardInterrupt.

    Raises ValueError outside the main thread.
    """
    with handlers_restored():
        for number in INTERRUPTS:
            signal.signal(number, lambda *_: function())
        yield
