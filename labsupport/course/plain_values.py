"""What an answer returned, as plain Python: a number is a number, whoever made it, and comparisons are Python's own."""

import inspect
import sys
from collections.abc import Collection
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from numbers import Integral, Real
from typing import Any

MOST_ITEMS = 10_000  # of a collection that comes back
DEEPEST = 8  # collections in collections
KNOWN = (int, float, Decimal, bytes, str, list, dict, set, frozenset, tuple)  # of which the learner may have subclasses


def plain(value: Any, kinds: tuple[type, ...]) -> Any:
    """`value` as one of `kinds` themselves, if it is one of them in any form; else only its numbers become plain.

    A subclass's comparisons are the learner's code, and could say anything. numpy's scalars become Python's at any
    depth, keys too, and a Fraction that is whole an int. A Collection becomes a tuple.
    """
    value = native(value)
    if type(value) in kinds:
        return value
    for kind in kinds:
        if kind is Collection and is_a(value, kind):
            return native(tuple(islice(value, MOST_ITEMS)))
        if kind in KNOWN and is_a(value, kind):
            return native(kind(exact(value) if kind is Decimal else value))
    return value


def native(value: Any, depth: int = 0) -> Any:
    """The same with Python's own numbers and texts in place of numpy's, also inside of Python's collections.

    What has none in it is handed on itself.
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
    numpy = sys.modules.get("numpy")  # what nobody has imported has made no numbers
    if numpy is None or not isinstance(value, numpy.number | numpy.bool_ | numpy.character):
        return value
    return value.item()


def exact(value: Decimal | Fraction) -> Decimal:
    """A Fraction that is a Decimal, such as 1/2, as one."""
    return Decimal(value.numerator) / value.denominator if isinstance(value, Fraction) else Decimal(value)


def is_a(value: Any, kind: type) -> bool:
    """As isinstance, but True is no number, every real number is a float's equal, and text is no collection.

    A Fraction is a Decimal if it has the same value as one. Where anything may come back (`object`), what comes back
    from code that has not run yet is of another kind.
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
    """Whether it is what a function with `yield` or `async def` returns: none of its lines has been run."""
    return inspect.iscoroutine(value) or inspect.isgenerator(value) or inspect.isasyncgen(value)
