"""How a check ends: the exceptions of judges and submissions, which become verdicts."""

from typing import Any


class Judged(Exception):  # noqa: N818 - it ends a check, as StopIteration ends a loop
    """The check has ended; `fields` are those of the verdict.

    `timed` says that the verdict depends on time: True, or the seconds that the judge allowed. If this machine stood
    still meanwhile, the answer is judged again.
    """

    def __init__(self, *, timed: bool | float = False, **fields: Any):
        self.timed, self.fields = timed, fields
        self.error: BaseException | None = None  # what the learner's code raised

    def but(self, **fields: str) -> "Judged":
        """A copy with these fields changed."""
        other = type(self)(timed=self.timed, **self.fields | fields)
        other.error = self.error
        return other


class NotAttempted(Judged):
    """The stub is still there."""


class TryAgain(Judged):
    """A property of a right answer does not hold."""


class Failed(Judged):
    """The learner's code raised, or did not end."""


class Busy(Judged):
    """No verdict is possible: this machine stood still for `seconds` while `while_` (a clause) went on."""

    def __init__(self, *, while_: str, seconds: float, seen: str = ""):
        super().__init__(
            says=f"Not your fault: this machine stood still for {seconds:.1f} s while {while_}.",
            seen=seen,
            look_at="run this cell again when fewer programs run beside it",
        )
