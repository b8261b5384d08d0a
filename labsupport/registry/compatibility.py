"""Whether readers of one schema can read what was written with another. Pure.

A level says who must be able to read what: BACKWARD, the new schema reads data of the earlier one; FORWARD, the earlier
schema reads data of the new one; FULL, both. A TRANSITIVE level compares with all earlier versions instead of the
latest. The levels are those of Confluent's documentation ("Schema Evolution and Compatibility").
"""

from collections.abc import Callable, Sequence
from typing import Any

LEVELS = ("NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE")

CanRead = Callable[[Any, Any], list[str]]


def incompatibilities(new: Any, earlier: Sequence[Any], level: str, can_read: CanRead) -> list[str]:
    """Return why `new` breaks the level, one sentence a reason; none if it keeps it.

    `earlier` are the subject's schemas in the order of their versions; `can_read(reader, writer)` returns what stops
    `reader` from reading data of `writer`.
    """
    if level == "NONE":
        return []
    compared = earlier if level.endswith("_TRANSITIVE") else earlier[-1:]
    reasons = []
    for old in reversed(compared):
        if not level.startswith("FORWARD"):
            reasons += [f"the new schema cannot read data of the earlier one: {each}" for each in can_read(new, old)]
        if not level.startswith("BACKWARD"):
            reasons += [f"the earlier schema cannot read data of the new one: {each}" for each in can_read(old, new)]
    return list(dict.fromkeys(reasons))
