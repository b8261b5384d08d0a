"""Turns results into plain Python, so that numpy's numbers count as numbers and comparisons are Python's own."""

import inspect
import sys
from collections.abc import Collection
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from numbers import Integral, Real
from typing import Any

MOST_ITEMS = 10_000  # of a returned collection
DEEPEST = 8  # levels of nested collections
# A result may be a subclass of these.
KNOWN: tuple[Any, ...] = (int, float, Decimal, bytes, str, list, dict, set, frozenset, tuple)


def plain(value: Any, kinds: tuple[type, ...]) -> Any:
    """`value` as a plain instance of one of `kinds`, if it is any form of it; otherwise only its numbers become plain.

    A subclass could compare equal to anything. numpy's scalars become Python's at any depth, keys included, and a
    whole Fraction becomes an int. A Collection becomes a tuple.
    """
    value = native(value)
    if type(value) in kinds:
        return value
    for kind in kinds:
        if kind is Collection and is_a(value, kind):
            return native(tuple(islice(value, MOST_ITEMS)))
        if kind is str and isinstance(value, str):
            return str.__str__(value)  # its text, whatever the subclass prints: an Enum that is text prints its name
        if kind in KNOWN and is_a(value, kind):
            return native(kind(exact(value) if kind is Decimal else value))
    return value


def native(value: Any, depth: int = 0) -> Any:
    """The value with Python's numbers and strings instead of numpy's, also inside Python's collections.

    Returns the same object if there are none.
    """
    if isinstance(value, Fraction) and value.denominator == 1:
        return value.numerator
    if type(value) not in (list, dict, set, frozenset, tuple) or depth == DEEPEST:
        return _of_numpy(value)
    parts = [part for item in value.items() for part in item] if isinstance(value, dict) else list(value)
    made = [native(each, depth + 1) for each in parts]
    if all(new is old for new, old in zip(made, parts, strict=True)):
        return value
    return dict(zip(made[::2], made[1::2], strict=True)) if isinstance(value, dict) else type(value)(made)


def _of_numpy(value: Any) -> Any:
    numpy = sys.modules.get("numpy")  # a module that is not imported has made no numbers
    if numpy is None or not isinstance(value, numpy.number | numpy.bool_ | numpy.character):
        return value
    return value.item()


def exact(value: Decimal | Fraction) -> Decimal:
    """The value as a Decimal; exact for a Fraction such as 1/2."""
    return Decimal(value.numerator) / value.denominator if isinstance(value, Fraction) else Decimal(value)


def is_a(value: Any, kind: type) -> bool:
    """Like isinstance, but True is not a number, every real number counts as a float, and text is not a collection.

    A Fraction counts as a Decimal if it has an equal Decimal. Everything is an `object` except what code returns that
    has not run yet.
    """
    if kind is object:
        return not has_not_run(value)
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, Real | Decimal) and not isinstance(value, bool)
    if kind is Decimal:
        return isinstance(value, Decimal) or (isinstance(value, Fraction) and exact(value) == value)
    if kind is bytes:
        return isinstance(value, bytes | bytearray)
    return isinstance(value, kind) and not (kind is Collection and isinstance(value, str | bytes))


def has_not_run(value: Any) -> bool:
    """Whether it comes from a function with `yield` or `async def`, none of whose lines has run."""
    return inspect.iscoroutine(value) or inspect.isgenerator(value) or inspect.isasyncgen(value)
