"""How a check comes to its end: what a judge raises, and what becomes of it in a verdict."""


class Judged(Exception):  # noqa: N818 - it ends a check, as StopIteration ends a loop
    """The check has come to its end: `fields` are those of the verdict.

    `timed` says that the verdict depends on how long something took: True, or the seconds that the judge allowed for
    it. If this machine stood still meanwhile, the answer is judged once more.
    """

    def __init__(self, *, timed: bool | float = False, **fields: str):
        self.timed, self.fields = timed, fields
        self.error: BaseException | None = None  # what the learner's code raised

    def but(self, **fields: str) -> "Judged":
        """The same end of the check, with these fields."""
        other = type(self)(timed=self.timed, **self.fields | fields)
        other.error = self.error
        return other


class NotAttempted(Judged):
    """The stub is still there."""


class TryAgain(Judged):
    """A property does not hold."""


class Failed(Judged):
    """The learner's code raised, or did not end."""


class Busy(Judged):
    """There can be no verdict: this machine stood still for `seconds` `while_` something was measured."""

    def __init__(self, *, while_: str, seconds: float, seen: str = ""):
        super().__init__(
            says=f"Not your fault: this machine stood still for {seconds:.1f} s while {while_}.",
            seen=seen,
            look_at="run this cell again, when less runs beside it",
        )
