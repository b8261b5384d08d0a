"""Right answers on a busy machine, for `soak`: none may be called wrong, nor the lab down."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

from labsupport import lesson
from labsupport.commands.notebooks import own_home
from labsupport.console import progress
from labsupport.course import exercises, session
from labsupport.course.verdict import Outcome, Verdict
from labsupport.settings import Settings

LOOPS = 3 * (os.cpu_count() or 1)
LOOP = "import os; owner = os.getppid()\nwhile os.getppid() == owner: pass"  # it ends with this process
ROUNDS = 3


def play(lessons: Sequence[str] = (), rounds: int = ROUNDS, loops: int = LOOPS) -> Iterator[tuple[str, Verdict]]:
    """Judge each right answer of these lessons (default: all) this often beside busy loops; yields each verdict."""
    every = [each for each in exercises.by_id().values() if not lessons or each.id[:2] in lessons]
    codes = [(each, code) for each in every for code in (each.reference, *each.other_styles)]
    with own_home(), _busy(loops):
        lab, home = lesson("98"), Settings.from_environment().home
        try:
            for exercise, code in progress("Right answers", unit="answer", over=codes * rounds):
                style = f"{exercise.id}, {'reference' if code == exercise.reference else code.strip().splitlines()[-1]}"
                yield style, lab.check(exercise.id, exercise.written(code, home))
        finally:
            session.close()


def wrong(verdict: Verdict) -> bool:
    """Return whether this verdict on a right answer is wrong, on any machine."""
    return verdict.outcome not in (Outcome.PASS, Outcome.LAB_BUSY)


@contextlib.contextmanager
def _busy(loops: int) -> Iterator[None]:
    """Run this many busy loops beside the body of a `with`."""
    with contextlib.ExitStack() as stack:
        for _ in range(loops):
            loop = stack.enter_context(subprocess.Popen([sys.executable, "-c", LOOP]))
            stack.callback(loop.kill)
        yield
