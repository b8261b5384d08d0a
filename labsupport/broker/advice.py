"""What the Kafka client's errors mean, and what to do (pure). A notebook shows it below an error."""

import contextlib
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import kafka
from kafka import errors

from labsupport.errors import LabError

DOWN = "is Kafka up? Run the first cell of the lesson again, or in a terminal: python3 lab.py status"

# (error, pattern in its message, what it means and what to do); the first that fits counts.
MEANINGS: tuple[tuple[type[BaseException], str, str], ...] = (
    (
        TypeError,
        "Unsupported type for serialized (key|value)",
        "Kafka takes bytes, or None: encode text with .encode(), an event with event.encode().",
    ),
    (
        TypeError,
        "headers",
        'Headers are a list of pairs of text and bytes: headers=[("event_type", b"OrderCreated")]; None is refused.',
    ),
    (
        TypeError,
        "offsets must be dict",
        "A commit names the next offset of each partition: commit(reading.after(record)), or "
        "{TopicPartition(topic, 0): OffsetAndMetadata(offset, '', -1)}.",
    ),
    (
        ValueError,
        "Need at least one: key or value",
        "This client sends no record that has neither: give it a key or a value.",
    ),
    (
        ValueError,
        "Unrecognized partition",
        "The topic has no such partition: leave `partition` out, and the key decides.",
    ),
    (ValueError, "Topic name", "A topic's name has letters, digits, dots, dashes and underscores, and nothing else."),
    (
        ValueError,
        "Offset must be int >= 0",
        "An offset counts from 0: consumer.seek_to_beginning() or seek_to_end() go to the ends.",
    ),
    (
        ValueError,
        "Unassigned partition",
        "The consumer does not have this partition: assign([…]) it, or poll() until the group has assigned one.",
    ),
    (
        RuntimeError,
        "Libraries for .* compression codec",
        "The library for that compression_type is missing: python3 lab.py sets the environment up again. gzip needs "
        "none.",
    ),
    (
        errors.UnsupportedCodecError,
        "",
        "Another client compressed these records, and the library that unpacks them is missing: python3 lab.py sets "
        "the environment up again.",
    ),
    (ValueError, "Unrecognized configs", "No client has a setting of that name: is it misspelt?"),
    (
        errors.MessageSizeTooLargeError,
        "larger than the maximum request size",
        "The client refused it, and nothing was sent: send less, or raise the producer's max_request_size "
        "and the topic's max.message.bytes.",
    ),
    (
        errors.MessageSizeTooLargeError,
        "",
        "The broker refused it, and it is not stored: send less, or raise the topic's max.message.bytes. An idempotent "
        "producer of this client sends nothing more after a refusal: make a new one.",
    ),
    (
        errors.KafkaTimeoutError,
        "Failed to update metadata",
        "Nothing was sent, because no broker knows the topic: was it created, is its name right, and is Kafka up?",
    ),
    (
        errors.KafkaTimeoutError,
        "Unable to bootstrap",
        "Nothing listens at that address. Without bootstrap_servers a client asks localhost:9092, and the lab's Kafka "
        "may be elsewhere: give it bootstrap_servers=lab.bootstrap. Is Kafka up? In a terminal: python3 lab.py status",
    ),
    (
        errors.KafkaTimeoutError,
        "No answer to the (commit|abort|offsets)",
        "Unknown: the transaction may be committed or not. Close this producer and make another one with the same "
        "transactional_id: its init_transactions() waits until that is settled. Then go on from the committed offsets.",
    ),
    (
        errors.KafkaTimeoutError,
        "Expiring|Timeout after waiting|RequestTimedOut",
        "Unknown: no answer came in time, so it may be stored or not. Look into the topic, or send it again "
        "with the same event id.",
    ),
    (
        errors.TopicAuthorizationFailedError,
        "",
        "Your user may not use that topic. On a class's Kafka your topics begin with lab-<your name>-, as lab.topic() "
        "names them, and LAB_LEARNER is your name there.",
    ),
    (
        errors.GroupAuthorizationFailedError,
        "",
        "Your user may not use that group. On a class's Kafka your groups begin with lab-<your name>-, as lab.group() "
        "names them, and LAB_LEARNER is your name there.",
    ),
    (
        errors.TransactionalIdAuthorizationFailedError,
        "",
        "Your user may not use that transactional_id. On a class's Kafka it begins with lab-<your name>-.",
    ),
    (
        errors.ClusterAuthorizationFailedError,
        "",
        "Your user may not do that on this Kafka: its administrator may.",
    ),
    (
        errors.SaslAuthenticationFailedError,
        "",
        "Kafka does not accept the user or the password of LAB_KAFKA_CONFIG (any more). In a terminal: "
        "python3 lab.py status",
    ),
    (
        errors.ThrottlingQuotaExceededError,
        "",
        "You have made or deleted many topics at once, and this Kafka limits that: wait some seconds, then try again.",
    ),
    (
        errors.CommitFailedError,
        "",
        "The group refused the commit: this consumer is not (or no longer) a member. "
        "Poll again; records that were not committed are delivered again.",
    ),
    (
        errors.InvalidSessionTimeoutError,
        "",
        "The broker refuses this session_timeout_ms: it takes 1 s to 30 min in the lab, 6 s to 30 min by default "
        "(group.min.session.timeout.ms, group.max.session.timeout.ms).",
    ),
    (
        errors.KafkaConfigurationError,
        "Heartbeat interval",
        "A session must hold several heartbeats: make heartbeat_interval_ms a third of session_timeout_ms, or less.",
    ),
    (
        errors.ProducerFencedError,
        "",
        "Another producer has begun with the same transactional_id, or this transaction took longer than "
        "transaction_timeout_ms; it is aborted. Close this producer; if it should run, make another one and go on "
        "from the committed offsets.",
    ),
    (
        errors.FencedInstanceIdError,
        "",
        "Another member joined with the same group_instance_id and replaced this one: each member needs its own.",
    ),
    (
        errors.InconsistentGroupProtocolError,
        "",
        "The group's members have no assignor in common: give all of them one that each has in its "
        "partition_assignment_strategy.",
    ),
    (
        TypeError,
        "'str' object is not callable",
        "A setting takes a function or a class and got its name as text; assignors are classes, in a list.",
    ),
    (
        errors.NoOffsetForPartitionError,
        "",
        'Nothing is committed, and auto_offset_reset is neither "earliest" nor "latest" (is it misspelt? '
        "lab.warnings() shows that): set one of them, or seek().",
    ),
    (
        errors.OffsetOutOfRangeError,
        "",
        "The log does not hold that offset: seek() to one between beginning_offsets() and end_offsets().",
    ),
    (errors.IllegalStateError, "closed", "This client was closed: make a new one (run the cell that makes it)."),
    (RuntimeError, "NetworkSelector closed", "This client was closed: make a new one (run the cell that makes it)."),
    (
        errors.IllegalStateError,
        "not assigned",
        "The consumer does not have this partition: poll() until the group has assigned one.",
    ),
    (
        errors.IllegalStateError,
        "Requires group_id",
        "Offsets are committed for a group: give the consumer a group_id.",
    ),
    (
        errors.KafkaConnectionError,
        "",
        "The connection broke: is Kafka up? In a terminal: python3 lab.py status. A client connects again by itself.",
    ),
    (
        errors.UnknownTopicOrPartitionError,
        "",
        "There is no such topic or partition: was it created, and is its name right?",
    ),
    (errors.KafkaTimeoutError, "", "No answer came in time: is Kafka up? In a terminal: python3 lab.py status"),
)


def advice(error: BaseException) -> str:
    """Say what an error of the client means and what to do; empty if the lab does not know it.

    A TypeError or ValueError counts only if the client raised it.
    """
    if not isinstance(error, errors.KafkaError) and not _from_the_client(error):
        return ""
    for kind, words, meaning in MEANINGS:
        if isinstance(error, kind) and re.search(words, str(error)):
            return meaning
    return ""


def _from_the_client(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(Path(kafka.__file__).parent)


@contextlib.contextmanager
def speaking(tried: str) -> Iterator[None]:
    """Turn kafka-python's errors in the body of a `with` into a LabError that says what was tried."""
    try:
        yield
    except (errors.KafkaError, ValueError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not advice(error):
            raise
        # What the broker says itself stands, where there is one, at the end of a dump of request and response.
        said = re.search(r"""error_message=(['"])(.+?)\1, """, str(error))
        raise LabError(
            tried,
            f"{type(error).__name__}: {said[2]}" if said else str(error),
            DOWN if getattr(error, "retriable", False) else advice(error),
        ) from error
