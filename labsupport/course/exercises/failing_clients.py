"""Clients that fail once: what a learner's code calls can raise, and a judge looks at what it does then."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from labsupport.course.submission import Failed


@contextlib.contextmanager
def failing_once(client: Any, method: str, error: Exception) -> Iterator[list[Exception]]:
    """For the body of a `with`: the first call of a real client's `method` raises `error`; later calls work.

    Yields a list that gets the error when it is raised.
    """
    real = getattr(client, method)
    raised: list[Exception] = []

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
    """Call the answer, which may raise: whether an error came out, and what it returned.

    Raises Failed if the answer did not end, or called exit().
    """
    try:
        return False, answer(*arguments, **asked)
    except Failed as failed:
        if not failed.fields["says"].startswith("Your code raised"):
            raise
        return True, None


class Noted:
    """Wraps the future of a send(), and notes in `waited` that somebody waited for it."""

    def __init__(self, sending: Any, waited: list[object]):
        self._sending, self._waited = sending, waited

    def get(self, *limits: Any, **named: Any) -> Any:
        """As the original's."""
        self._waited.append(self._sending)
        return self._sending.get(*limits, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sending, name)
