"""A client that fails once: what a learner's code calls can raise, and a check asks what becomes of that."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from labsupport.course.submission import Failed


@contextlib.contextmanager
def failing_once(client: Any, method: str, error: Exception) -> Iterator[list[Exception]]:
    """For the body of a `with`: the first call of that method of a real client raises `error`; the next ones work.

    Yields a list that holds the error as soon as it was raised.
    """
    real, raised = getattr(client, method), []

    def fail_once(*arguments: Any, **named: Any) -> Any:
        if raised:
            return real(*arguments, **named)
        raised.append(error)
        raise error

    setattr(client, method, fail_once)
    try:
        yield raised
    finally:
        delattr(client, method)


def came_out(answer: Callable, *arguments: Any, **asked: Any) -> tuple[bool, Any]:
    """Call the answer, which may let an error out: whether it did, and what it returned.

    Raises Failed as the answer does where it is no error that came out: it did not end, or called exit().
    """
    try:
        return False, answer(*arguments, **asked)
    except Failed as failed:
        if not failed.fields["says"].startswith("Your code raised"):
            raise
        return True, None


class Noted:
    """What send() returns, which notes itself in `waited` when its acknowledgement is waited for."""

    def __init__(self, sending: Any, waited: list[object]):
        self._sending, self._waited = sending, waited

    def get(self, *limits: Any, **named: Any) -> Any:
        """As the original's."""
        self._waited.append(self._sending)
        return self._sending.get(*limits, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sending, name)
