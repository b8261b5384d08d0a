"""Every error class of the lab, and who raises it.

    LabError              everything in the lab: a sentence with a next step
    DeadLetterError       delivery/error_handler: a dead letter could not be written
    EventError            shop/event: bytes or fields are no event
    UnknownEventError     shop/event: an event of an unknown type or version
    TransientError        handlers, to retry an event later
    PermanentError        handlers, to give an event up
    NotADeadLetterError   delivery/dead_letter: a record is no dead letter
    UnknownOriginError    delivery/dead_letter_dialects: headers do not say where a record lay
    SchemaError           registry: a text is no schema
    RegistryError         registry: a request is refused
    NotKafkaError         broker/channel: something else listens there
    RefusedError          broker/channel, access_token: Kafka does not let this client in
    FaultError            experiments/breaking/faults: on purpose
    UnpicklableError      experiments/breaking/pickling: a function cannot be called in another process
    DisturbedError        experiments/breaking/broker_deaths: the machine stood still, play the trial again
    RenamedError          renamed: an old name of an earlier course

Two live where Kafka's clients are imported, because importing this module must not import them: `UnreadableError`, a
LabError, in kafka_fixes, and `NotSentError`, a KafkaError, in history/librdkafka. `FailedError` is in setup/installer,
which stands alone.
"""


class LabError(Exception):
    """The lab could not do something; the message names the next step.

    `tried` says in a sentence what was attempted, `seen` what happened instead (perhaps several lines, such as the end
    of a log), `next_step` what to type or change.
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
        """IPython prints this instead of a traceback through the lab's own frames (a documented hook)."""
        return [f"LabError: {self}"]


class UnpicklableError(LabError):
    """A function cannot be taken into another process, because it uses something that only this one has."""

    def __init__(self, name: str, used: str):
        """`used` is what it uses, in words."""
        super().__init__(
            f"{name} cannot be taken into another process.",
            f"it uses {used}, which only this process has",
            "make it inside the function; take clients from its arguments, and use names and numbers, not `lab`",
        )


class FaultError(Exception):
    """Raised on purpose, by the fault `fail`."""


class DisturbedError(Exception):
    """The machine stood still for so long that brokers were taken for dead which were not to die."""


class NotKafkaError(Exception):
    """Something listens at the address but does not speak Kafka's protocol."""


class RefusedError(ConnectionError):
    """Kafka, or what stands before it, does not let this client in; the message says why, without a secret."""


class SchemaError(Exception):
    """A text is no schema of its kind."""


class RegistryError(Exception):
    """A request to the schema registry is refused: HTTP `status`, and Confluent's `code` with its message."""

    def __init__(self, status: int, code: int, message: str):
        self.status, self.code = status, code
        super().__init__(message)


class TransientError(Exception):
    """Raised by a handler: the event is not at fault and can be processed later."""


class PermanentError(Exception):
    """Raised by a handler: this event can never be processed as it is."""


class NotADeadLetterError(ValueError):
    """A record does not have the headers of a dead letter."""


class UnknownOriginError(ValueError):
    """The headers of a dead letter do not say where its record lay."""


class DeadLetterError(LabError):
    """A dead letter could not be written. Its record stays uncommitted: nothing is lost, and its partition waits."""


class EventError(ValueError):
    """These bytes, or these fields, are no event. `value` keeps the bytes as they came."""

    def __init__(self, problem: str, value: bytes | None = None):
        super().__init__(problem)
        self.problem, self.value = problem, value


class UnknownEventError(EventError):
    """A well-formed envelope whose type or version this program does not know."""


class RenamedError(LabError, ImportError):
    """Code for an older version of the course imports an old name."""
