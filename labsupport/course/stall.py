"""The stall witness: how long this machine kept this process waiting, which no verdict may depend on.

A thread repeatedly asks to be woken after a moment, and then for a little processor time, and measures how late it
gets both. Time that the process itself used meanwhile (another thread holding Python's lock) does not count.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from labsupport.course.outcomes import Busy

__all__ = ["Beat", "Busy", "Machine", "witness"]

PAUSE = 0.04  # s between two looks
WORK = 0.002  # s of processor time that it then asks for: this shows a busy machine that still wakes threads quickly
CAN_WORK = os.name != "nt"  # Windows counts a thread's time in steps of 16 ms
LENIENT = 0.005  # s: an idle machine may wake a thread this late, to save power
LONG = 0.5  # s: a stall that makes a timed verdict doubtful if the judge names no allowance


@dataclass(frozen=True)
class Beat:
    """One look, in seconds: its whole duration, how late the thread was woken, and how long its work took.

    `used` is the processor time of the whole process meanwhile.
    """

    wall: float
    late: float
    work: float
    used: float

    @property
    def still(self) -> float:
        """How long this process could not run although it wanted to (s)."""
        late = max(0.0, self.late - LENIENT) + max(0.0, self.work - WORK)
        return late * (1 - min(1.0, self.used / self.wall))

    @property
    def share(self) -> float:
        """The share of a processor that this process got when it wanted one: from nearly 0 to 1."""
        return WORK / (WORK + self.still)


class Machine:
    """What the witness has seen of this machine so far."""

    def __init__(self) -> None:
        self.watched = 0.0  # s
        self.worst = 0.0  # s: the longest single stall
        self.lost = 0.0  # s given to other processes in total

    def saw(self, beat: Beat) -> None:
        """Add one look."""
        self.watched += beat.wall
        self.worst = max(self.worst, beat.still)
        self.lost += beat.wall * (1 - beat.share)

    @property
    def still(self) -> float:
        """How long it stood still, in one stall or in total (s)."""
        return max(self.worst, self.lost)

    @property
    def busy(self) -> float:
        """The share of its time that it gave to others: from 0 to nearly 1."""
        return self.lost / self.watched if self.watched else 0.0

    def stood_still(self, longer_than: float) -> bool:
        """Whether it stood still for more than `longer_than` seconds.

        In one stall; or in total, if that is more than a third of the time watched.
        """
        return self.worst > longer_than or (self.lost > longer_than and self.busy > 1 / 3)

    def makes_doubtful(self, timed: bool | float) -> bool:
        """Whether this machine, not the answer, may have caused a verdict with this `timed` (see Judged)."""
        return bool(timed) and self.stood_still(LONG if timed is True else timed / 4)


class _Witness:
    """The single watching thread of this process; it runs while anybody watches."""

    def __init__(self) -> None:
        self.machines: list[Machine] = []
        self.changed = threading.Condition()
        self.watching: object = None  # a token of the running thread
        self.begun = 0.0  # when the unfinished look began

    def begin(self, machine: Machine) -> None:
        """Report to `machine` too; the first one starts the thread."""
        with self.changed:
            self.machines.append(machine)
            if len(self.machines) == 1:
                self.begun, self.watching = time.monotonic(), object()
                threading.Thread(target=self._watch, args=[self.watching], name="stall witness", daemon=True).start()

    def end(self, machine: Machine) -> None:
        """Stop reporting to `machine`; the last one ends the thread. Waits for a look that is overdue."""
        with self.changed:
            try:
                self.changed.wait_for(lambda: not self.overdue(), timeout=10)
            finally:  # even if interrupted
                self.machines.remove(machine)
                if not self.machines:
                    self.watching = None

    def overdue(self) -> bool:
        """Whether the unfinished look should have ended by now."""
        return time.monotonic() - self.begun > PAUSE + WORK + LENIENT

    def _watch(self, mine: object) -> None:
        while self.watching is mine:
            begun, used = time.monotonic(), time.process_time()
            time.sleep(PAUSE)
            woken, working = time.monotonic(), time.thread_time()
            while CAN_WORK and time.thread_time() - working < WORK:
                pass
            ended, worked = time.monotonic(), time.thread_time() - working
            beat = Beat(ended - begun, woken - begun - PAUSE, ended - woken, time.process_time() - used - worked)
            with self.changed:
                if self.watching is mine:
                    self.begun = ended
                    for machine in self.machines:
                        machine.saw(beat)
                    self.changed.notify_all()


_witness = _Witness()


def overdue() -> bool:
    """Whether the witness is late right now, so that the length of the stall is not known yet."""
    return _witness.overdue()


@contextlib.contextmanager
def witness(machine: Machine | None = None) -> Iterator[Machine]:
    """Watch this machine for the body of a `with`, and add to `machine`; read it after the body.

    A stall that ends together with the body counts too.
    """
    machine = Machine() if machine is None else machine
    _witness.begin(machine)
    try:
        yield machine
    finally:
        _witness.end(machine)
