"""Every error class of the lab, and who raises it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


class LabError(Exception):
    """Something the lab could not do, said so that the reader knows the next step.

    `tried` is the sentence of what was attempted, `seen` what was met instead (may be several lines, such as the
    end of a log), `next_step` what to type or change.
    """

    def __init__(self, tried: str, seen: str = "", next_step: str = ""):
        self.tried, self.seen, self.next_step = tried, seen, next_step
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [self.tried]
        if self.seen:
            parts.append("  seen: " + self.seen.strip().replace("\n", "\n        "))
        if self.next_step:
            parts.append("  next: " + self.next_step.strip().replace("\n", "\n        "))
        return "\n".join(parts)

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a stack of the lab's own frames (its documented hook)."""
        return [f"LabError: {self}"]


class FaultError(Exception):
    """What `fail` raises: an error on purpose."""


class NotKafkaError(Exception):
    """Something listens, and what it says is not Kafka's protocol."""


class TransientError(Exception):
    """For a handler to raise: not this event's fault; the same event can be processed later."""


class PermanentError(Exception):
    """For a handler to raise: this event can never be processed as it is."""


class NotADeadLetterError(ValueError):
    """A record does not carry what a dead letter carries."""


class DeadLetterError(LabError):
    """A dead letter could not be written, so its record is not committed: nothing is lost, and nothing goes on."""


class EventError(ValueError):
    """These bytes, or these fields, are no event. `value` keeps the bytes as they came, so that nothing is lost."""

    def __init__(self, problem: str, value: bytes | None = None):
        super().__init__(problem)
        self.problem, self.value = problem, value


class UnknownEventError(EventError):
    """A well-formed envelope of a type or version that this program does not know."""


class RenamedError(LabError, ImportError):
    """Code for an older version of the course imports an old name (raised by labsupport.renamed)."""
