"""Detects answers that remember earlier calls, in a default argument or in a name outside the function.

Such an answer can be right only because of earlier calls. So after a check its calls are repeated, last one first, on
a copy of the function as it was before the check.
"""

import contextlib
import pickle
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import cloudpickle

from labsupport.course.sandbox import is_learners
from labsupport.experiments.breaking import pickling

MOST = 300  # of the last calls are repeated
MISSED = (LookupError, ValueError, ZeroDivisionError)  # what code raises without the leftovers of an earlier call


@dataclass(frozen=True)
class Call:
    """A call that should depend on its arguments only, and its result."""

    arguments: tuple
    kinds: type | tuple[type, ...]
    result: Any


@dataclass(frozen=True)
class Differs:
    """A call with a different result on a fresh copy; `first` is that result."""

    call: Call
    first: Any


class Raised:
    """The result of a call that raised."""

    def __init__(self, error: BaseException):
        self.error = error

    def __repr__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raised) and type(other.error) is type(self.error)

    __hash__ = None  # type: ignore[assignment]  # typeshed types it as a method; Python takes None for "no hash"


_pristine: "WeakKeyDictionary[Callable, bytes]" = WeakKeyDictionary()


def pristine(function: Callable) -> bytes:
    """The function with everything that it uses, pickled at first sight; empty if it cannot be pickled."""
    with contextlib.suppress(Exception):  # it uses a client, or is not a Python function
        if function not in _pristine:
            module = sys.modules.get(function.__module__)
            if module and is_learners(getattr(module, "__file__", None) or "<frozen"):
                cloudpickle.register_pickle_by_value(module)  # a copy has names of its own, as a notebook's cell
            _pristine[function] = pickling.dumps(function, "your function")
        return _pristine[function]
    return b""


def depends_on_arguments(arguments: Collection[Any], handles: tuple[type, ...]) -> bool:
    """Whether no argument has a state of its own: a client, a database, a function."""
    return not any(isinstance(each, handles) or callable(each) for each in arguments)


def differing(packed: bytes, calls: list[Call], ask: Callable[[Callable, Call], Any]) -> Differs | None:
    """The latest call with a different result on a fresh copy; None if there is none.

    `ask(function, call)` is the result of a call. Two copies must agree, because random results are not memory.
    """
    if not packed:
        return None
    with contextlib.suppress(Exception):  # a copy that cannot be unpickled, or fails otherwise, proves nothing
        one, other = pickle.loads(packed), pickle.loads(packed)
        for call in calls[::-1][:MOST]:
            first, again = ask(one, call), ask(other, call)
            if not same(first, call.result) and same(first, again):
                return Differs(call, first)
    return None


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal; the order of a collection does not matter."""
    if type(one) is tuple and type(other) is tuple and len(one) == len(other):
        return one == other or sorted(map(repr, one)) == sorted(map(repr, other))
    return bool(one == other)
