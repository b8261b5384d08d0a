"""Whether an answer remembers earlier calls: in a default argument, or in a name outside of it.

Such an answer can be right only because of what it was asked before. So after all is judged, the same is asked anew,
the last thing first, of a copy of the answer as it was when the check first saw it.
"""

import contextlib
import pickle
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import cloudpickle

from labsupport.course.sandbox import is_learners

MOST = 300  # calls that are asked anew, the last ones
MISSED = (LookupError, ValueError, ZeroDivisionError)  # what code raises that misses what an earlier call has left


@dataclass(frozen=True)
class Call:
    """A call of an answer that depends on its arguments only, and what came back."""

    arguments: tuple
    kinds: type | tuple[type, ...]
    result: Any


@dataclass(frozen=True)
class Differs:
    """A call that came back differently from a copy that was asked it before others; `first` is what came back then."""

    call: Call
    first: Any


class Raised:
    """What came of a call that raised."""

    def __init__(self, error: BaseException):
        self.error = error

    def __repr__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raised) and type(other.error) is type(self.error)

    __hash__ = None


_pristine: "WeakKeyDictionary[Callable, bytes]" = WeakKeyDictionary()


def pristine(function: Callable) -> bytes:
    """The function with all that it uses, as it was when it was first seen; empty if it cannot be copied."""
    with contextlib.suppress(Exception):  # it uses a client, or is no function of Python's
        if function not in _pristine:
            with _by_value(sys.modules.get(function.__module__)):
                _pristine[function] = cloudpickle.dumps(function)
        return _pristine[function]
    return b""


@contextlib.contextmanager
def _by_value(module: ModuleType | None) -> Iterator[None]:
    """A module of the learner's is copied with its functions, for the body of a `with`, like a notebook's cells."""
    own = module is not None and is_learners(getattr(module, "__file__", None) or "<frozen")
    own = own and module.__name__ not in cloudpickle.list_registry_pickle_by_value()  # as `load` has registered it
    if own:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        if own:
            cloudpickle.unregister_pickle_by_value(module)


def depends_on_arguments(arguments: Collection[Any], handles: tuple[type, ...]) -> bool:
    """Whether nothing is handed over that has a state of its own: a client, a database, a function."""
    return not any(isinstance(each, handles) or callable(each) for each in arguments)


def differing(packed: bytes, calls: list[Call], ask: Callable[[Callable, Call], Any]) -> Differs | None:
    """The first of the calls, from the last one on, that comes back differently from a fresh copy; None if none does.

    `ask(function, call)` is what comes of a call. Twice the copies have to agree: what is random is not remembered.
    """
    if not packed:
        return None
    with contextlib.suppress(Exception):  # what cannot be read back, or raises what no answer did, shows nothing
        one, other = pickle.loads(packed), pickle.loads(packed)
        for call in calls[::-1][:MOST]:
            first, again = ask(one, call), ask(other, call)
            if not same(first, call.result) and same(first, again):
                return Differs(call, first)
    return None


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal, in whatever order a collection has its items."""
    if type(one) is tuple and type(other) is tuple and len(one) == len(other):
        return one == other or sorted(map(repr, one)) == sorted(map(repr, other))
    return bool(one == other)
