"""The stall witness: how long this machine kept this process waiting. A verdict must not depend on that.

A thread asks again and again to be woken after a moment, and then for a little of the processor; it notes by how much
it gets both too late. What the process itself used meanwhile (another thread that holds Python's lock) is not counted.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from labsupport.course.judged import Busy

__all__ = ["Beat", "Busy", "Machine", "witness"]

PAUSE = 0.04  # s between two looks
WORK = 0.002  # s of the processor that it then asks for: it shows a busy machine, where waking up alone is quick
CAN_WORK = os.name != "nt"  # there a thread's time is counted in steps of 16 ms
LENIENT = 0.005  # s: so late an idle machine may wake a thread, to save power
LONG = 0.5  # s: a stall that makes a timed verdict doubtful, if the judge does not say what it allowed


@dataclass(frozen=True)
class Beat:
    """One look, all in seconds: how long it took in all, by how much the thread was woken late, how long its work took.

    `used` is what the whole process got of the processor meanwhile.
    """

    wall: float
    late: float
    work: float
    used: float

    @property
    def still(self) -> float:
        """For how long this process could not run although it wanted to (s)."""
        late = max(0.0, self.late - LENIENT) + max(0.0, self.work - WORK)
        return late * (1 - min(1.0, self.used / self.wall))

    @property
    def share(self) -> float:
        """How much of a processor this process got when it wanted one: from nearly 0 to 1."""
        return WORK / (WORK + self.still)


class Machine:
    """What the witness has seen of this machine."""

    def __init__(self) -> None:
        self.watched = 0.0  # s
        self.worst = 0.0  # s that it stood still at most, at a stretch
        self.lost = 0.0  # s that it gave to others, in all

    def saw(self, beat: Beat) -> None:
        """Add one look."""
        self.watched += beat.wall
        self.worst = max(self.worst, beat.still)
        self.lost += beat.wall * (1 - beat.share)

    @property
    def still(self) -> float:
        """For how long it stood still, at a stretch or in all (s)."""
        return max(self.worst, self.lost)

    @property
    def busy(self) -> float:
        """Which share of its time it gave to others: from 0 to nearly 1."""
        return self.lost / self.watched if self.watched else 0.0

    def stood_still(self, longer_than: float) -> bool:
        """Whether it stood still for longer than that (s).

        At a stretch; or in all, if that is more than a third of the time watched: it was too busy all the time.
        """
        return self.worst > longer_than or (self.lost > longer_than and self.busy > 1 / 3)

    def makes_doubtful(self, timed: bool | float) -> bool:
        """Whether a verdict with this `timed` (see Judged) may be this machine's doing and not the answer's."""
        return bool(timed) and self.stood_still(LONG if timed is True else timed / 4)


class _Witness:
    """The one thread of this process that looks, as long as somebody wants to know."""

    def __init__(self) -> None:
        self.machines: list[Machine] = []
        self.changed = threading.Condition()
        self.watching: object = None  # of the thread that looks
        self.begun = 0.0  # when the look began that is not noted yet

    def begin(self, machine: Machine) -> None:
        """Tell this machine too; the first one starts the thread."""
        with self.changed:
            self.machines.append(machine)
            if len(self.machines) == 1:
                self.begun, self.watching = time.monotonic(), object()
                threading.Thread(target=self._watch, args=[self.watching], name="stall witness", daemon=True).start()

    def end(self, machine: Machine) -> None:
        """No more of it; the last one ends the thread. A look that should have ended by now is waited for."""
        with self.changed:
            try:
                self.changed.wait_for(lambda: not self.overdue(), timeout=10)
            finally:  # also if somebody interrupts
                self.machines.remove(machine)
                if not self.machines:
                    self.watching = None

    def overdue(self) -> bool:
        """Whether the look that is not noted yet should have ended."""
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
    """Whether the witness is late at this moment: how long this machine stands still is not known yet."""
    return _witness.overdue()


@contextlib.contextmanager
def witness(machine: Machine | None = None) -> Iterator[Machine]:
    """Watch this machine for the body of a `with`, adding to what `machine` has seen; read it when the body has ended.

    A stall that ended just before the body is seen too.
    """
    machine = Machine() if machine is None else machine
    _witness.begin(machine)
    try:
        yield machine
    finally:
        _witness.end(machine)
