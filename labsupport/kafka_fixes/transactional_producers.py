"""Workarounds for transactional producers: a fenced one does no harm, and no answer is awaited for ever."""

import functools
from collections.abc import Callable
from typing import Any

from kafka import KafkaProducer
from kafka.errors import InvalidProducerEpochError, KafkaTimeoutError, ProducerFencedError

# The manager's methods that return a result to wait for, and what each asks for.
ASKS = {"begin_commit": "commit", "begin_abort": "abort", "send_offsets_to_transaction": "offsets"}


def stays_fenced(producer: KafkaProducer) -> KafkaProducer:
    """Make a transactional producer that was fenced raise ProducerFencedError from then on; returns it.

    Fault (3.0.12): when the broker refuses a fenced producer's record (INVALID_PRODUCER_EPOCH), the client takes that
    for a passing error and asks for the next epoch, with the old one. The broker then aborts its *successor's* open
    transaction and fences the successor too. Its own methods raise "Invalid transition" or "error state". The Java
    client says that it is fenced. #2885 is close.
    """
    if (manager := producer._transaction_manager) is None or not manager.is_transactional():
        return producer
    dispatch = producer._sender._dispatch_error

    def dispatching(batch: Any, exception: Exception, partition_response: Any) -> None:
        if isinstance(exception, InvalidProducerEpochError):
            exception = ProducerFencedError("the broker refused its record")
        dispatch(batch, exception, partition_response)

    def raising(check: Callable[[], None]) -> None:
        if manager.has_error() and isinstance(manager.last_error, ProducerFencedError):
            raise manager.last_error
        check()

    producer._sender._dispatch_error = dispatching
    for name in ("_maybe_fail_with_error", "_fail_if_not_ready_for_send"):
        setattr(manager, name, functools.partial(raising, getattr(manager, name)))
    return producer


def answers_in_time(producer: KafkaProducer) -> KafkaProducer:
    """Make a transactional producer wait `max_block_ms` at most for the end of a transaction; returns it.

    Then its methods raise KafkaTimeoutError: what becomes of the transaction is unknown. The Java client has the same
    limit.

    Fault (3.0.12): `commit_transaction`, `abort_transaction` and `send_offsets_to_transaction` wait for ever for a
    broker that does not answer; only `init_transactions` has a limit. Not reported that we found.
    """
    if (manager := producer._transaction_manager) is None or not manager.is_transactional():
        return producer

    def limited(name: str, ask: Callable[..., Any], *arguments: Any) -> Any:
        result = ask(*arguments)
        result.wait = functools.partial(_wait, result.wait, ASKS[name], producer.config)
        return result

    for name in ASKS:
        setattr(manager, name, functools.partial(limited, name, getattr(manager, name)))
    return producer


def _wait(wait: Callable[[int], bool], what: str, config: dict[str, Any]) -> bool:
    limit = config["max_block_ms"]
    if not wait(limit):
        raise KafkaTimeoutError(
            f"No answer to the {what} of {config['transactional_id']} in {limit / 1_000:g} s: the outcome is unknown."
        )
    return True
