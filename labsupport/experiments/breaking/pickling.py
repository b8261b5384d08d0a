"""Pickles what another process calls, and names what cannot go there.

A lock is a new one there, as in a program that is started again. What else belongs to one process (an open file, a
database connection, a generator) is made anew by the file that makes it, if the learner's code is a file that opens no
lesson. A notebook's cell cannot run again, so there it is an UnpicklableError.
"""

import contextlib
import functools
import inspect
import io
import pickle
import threading
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import cloudpickle

from labsupport import learner_file
from labsupport.broker.cluster import Cluster
from labsupport.errors import UnpicklableError

LOCKS = {type(make()): make for make in (threading.Lock, threading.RLock)}


class _Pickler(cloudpickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        """As pickle.Pickler.reducer_override."""
        if type(obj) in LOCKS:
            return LOCKS[type(obj)], ()
        return super().reducer_override(obj)


class _FilesAnew(_Pickler):
    """What a learner's file defines at its top level goes as a name, with the file's source to run there, once."""

    def reducer_override(self, obj: Any) -> Any:
        """As pickle.Pickler.reducer_override."""
        if isinstance(obj, ModuleType) and (source := learner_file.source(obj)):
            if any(isinstance(each, Cluster) for each in vars(obj).values()):
                raise pickle.PicklingError("the file opens a lesson, which would empty this one")
            return learner_file.run, source
        if place := learner_file.place(obj):
            return getattr, place
        return super().reducer_override(obj)


def dumps(value: Any, name: str) -> bytes:
    """Pickle a value; errors call it `name`. Raises UnpicklableError."""
    try:
        return _dumps(value, _Pickler)
    except Exception as error:
        with contextlib.suppress(Exception):
            return _dumps(value, _FilesAnew)
        raise UnpicklableError(name, _named(*_culprit(value, "", {id(value)}))) from error


def _dumps(value: Any, pickler: type[_Pickler]) -> bytes:
    with io.BytesIO() as file:
        pickler(file).dump(value)
        return file.getvalue()


def _culprit(value: Any, name: str, seen: set[int]) -> tuple[str, Any]:
    """The innermost part of the value that cannot be pickled, as the learner's code names it."""
    for its_name, part in _parts(value, name):
        if id(part) not in seen and not _goes(part):
            return _culprit(part, its_name, seen | {id(part)})
    return name, value


def _goes(value: Any) -> bool:
    with contextlib.suppress(Exception):
        _dumps(value, _Pickler)
        return True
    return False


def _parts(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, FunctionType):
        used = {each: value.__globals__[each] for each in _names(value.__code__) if each in value.__globals__}
        yield from {**used, **inspect.getclosurevars(value).nonlocals}.items()
        defaults = {each.name: each.default for each in inspect.signature(value).parameters.values()}
        yield from ((each, default) for each, default in defaults.items() if default is not inspect.Parameter.empty)
    elif isinstance(value, MethodType):
        yield from ((name, value.__self__), (name, value.__func__))
    elif isinstance(value, functools.partial):
        yield from ((name, each) for each in (value.func, *value.args, *value.keywords.values()))
    elif isinstance(value, dict):
        yield from ((name, each) for each in value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((name, each) for each in value)
    elif not name:  # an argument: what it holds is more than the learner named
        yield from getattr(value, "__dict__", {}).items()


def _names(code: CodeType) -> Iterator[str]:
    """The names that the code and the functions in it use."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)


def _named(name: str, value: Any) -> str:
    kind = type(value).__name__
    kind = f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
    return f"`{name}`, {kind}" if name else kind
