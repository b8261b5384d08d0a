"""A function that is handed to a learner's code and fails once: its error is heard of, or it was swallowed."""

from collections.abc import Callable
from typing import Any

from labsupport.course.judged import Failed

SWALLOWED = {
    "broken": "an error that nobody hears of is a loss that nobody hears of",
    "look_at": "an `except` that does not end in `raise`: which errors may your code settle by itself?",
}


class FailsOnce:
    """`function`, which raises `error` (ValueError, unless given) instead of its call number `nth`, counted from 1.

    Hand `handed` to the learner's code: a function, which is not copied. Then ask what became of it.
    """

    def __init__(self, function: Callable, nth: int = 1, error: Exception | None = None):
        self.error = error or ValueError("the check makes this call fail")
        self.calls, self.raised = 0, False

        def handed(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == nth:
                self.raised = True
                raise self.error
            return function(*arguments, **named)

        handed.__name__ = getattr(function, "__name__", "function")
        self.handed = handed

    def came_out(self, call: Callable[[], Any]) -> bool:
        """Make the call of the answer: whether the error came out of it, itself or as the cause of another.

        False if it was swallowed, or if the function was not called so often (`raised` tells). Raises what else the
        answer fails with.
        """
        try:
            call()
        except Failed as failed:
            if not _leads_to(failed.error, self.error):
                raise
            return True
        return False


def _leads_to(error: BaseException | None, cause: BaseException) -> bool:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if error is cause:
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False
