"""Clients that fail once: what a learner's code calls can raise, and a judge looks at what it does then."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from labsupport.course.submission import Failed


@contextlib.contextmanager
def failing_once(client: Any, method: str, error: Exception, *, each: bool = False) -> Iterator[list[Exception]]:
    """For the body of a `with`: the first call of a real client's `method` raises `error`; later calls work.

    With `each`, the first call with each argument does: an answer that asks for one partition after the other, in any
    order, then gets no answer for any. Yields a list that gets the error whenever it is raised.
    """
    real = getattr(client, method)
    raised: list[Exception] = []
    failed: set[str] = set()

    def fail_once(*arguments: Any, **named: Any) -> Any:
        asked = repr((arguments, named)) if each else ""
        if asked in failed:
            return real(*arguments, **named)
        failed.add(asked)
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
