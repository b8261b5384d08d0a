"""Avro schemas: parsed, compared, and refused where they are none. Pure."""

import json
import math
import re
from collections.abc import Callable
from typing import Any

import avro.compatibility
import avro.errors
import avro.schema

from labsupport.errors import SchemaError


def _integer(bits: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _bytes(value: Any) -> bool:
    return isinstance(value, str) and all(ord(each) < 256 for each in value)


PRIMITIVES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "int": _integer(32),
    "long": _integer(64),
    "float": _number,
    "double": _number,
    "string": lambda value: isinstance(value, str),
    "bytes": _bytes,
}


NAMED = ("record", "enum", "fixed")
NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
# The order in which Avro's specification names a schema's attributes; others stay behind them, in theirs.
ORDER = ("type", "name", "namespace", "doc", "aliases", "fields", "symbols", "items", "values", "size", "default")


def parse(text: str) -> avro.schema.Schema:
    """Return the schema; raises SchemaError if the text is none.

    Python's library accepts what other clients refuse, or what their readers fail at: a default that does not fit its
    field's type, and the same type twice in a union. And an alias without a namespace has that of its schema.
    """
    try:
        schema = avro.schema.parse(text)
    except (avro.errors.AvroException, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise SchemaError(f"this is no Avro schema: {error}") from error
    _check(schema, set())
    return schema


def normal(text: str) -> str:
    """Return the text without what says nothing: white space, the order of attributes, braces around a type's name."""
    return json.dumps(_ordered(json.loads(text)), separators=(",", ":"), ensure_ascii=False)


def _ordered(said: Any) -> Any:
    match said:
        case {"type": str() as name} if len(said) == 1 and name in PRIMITIVES:
            return name
        case dict():
            is_field = "name" in said and said.get("type") not in NAMED  # then its name comes first
            order = ("name", *ORDER) if is_field else ORDER
            names = dict.fromkeys([name for name in order if name in said] + list(said))
            return {name: said[name] if name == "default" else _ordered(said[name]) for name in names}
        case list():
            return [_ordered(each) for each in said]
    return said


def can_read(reader: avro.schema.Schema, writer: avro.schema.Schema) -> list[str]:
    """Return what stops `reader` from reading data of `writer`: Avro's reasons, their details and where they are."""
    checked = avro.compatibility.ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)
    if checked.compatibility is avro.compatibility.SchemaCompatibilityType.compatible:
        return []
    kinds = ", ".join(dict.fromkeys(kind.name for kind in checked.incompatibilities))
    return [f"{kinds}: {'; '.join(sorted(checked.messages))} (at {', '.join(sorted(checked.locations))})"]


def _check(schema: Any, seen: set[int]) -> None:
    """Raise SchemaError at the first thing that Python's library accepts and should not; qualify the aliases."""
    if id(schema) in seen:
        return
    seen.add(id(schema))
    if schema.type in NAMED and "aliases" in schema.props:
        space = schema.fullname.rpartition(".")[0]
        aliases = _names(schema.fullname, schema.props["aliases"])
        schema.props["aliases"] = [each if "." in each or not space else f"{space}.{each}" for each in aliases]
    inside = []
    match schema.type:
        case "record":
            for field in schema.fields:
                _check_field(f"{schema.fullname}.{field.name}", field)
            inside = [field.type for field in schema.fields]
        case "array":
            inside = [schema.items]
        case "map":
            inside = [schema.values]
        case "union":
            inside = schema.schemas
            names = [each.fullname if each.type in NAMED else each.type for each in inside]
            if twice := [name for name in names if names.count(name) > 1]:
                raise SchemaError(f"{twice[0]} is in a union twice")
        case "error" | "error_union" | "request":
            raise SchemaError(f"{schema.type} belongs to Avro's protocols, not to events")
    for each in inside:
        _check(each, seen)


def _check_field(name: str, field: Any) -> None:
    if not NAME.fullmatch(field.name):
        raise SchemaError(f"the field {name} has a name that Avro does not allow: letters, digits and _ only")
    _names(name, field.props.get("aliases", []))
    if field.has_default and not _fits(field.type, field.default):
        first = ": a union's default belongs to its first type" if field.type.type == "union" else ""
        raise SchemaError(f"the default of {name}, {field.default!r}, does not fit its type{first}")


def _names(of: str, aliases: Any) -> list[str]:
    if not isinstance(aliases, list) or not all(isinstance(each, str) for each in aliases):
        raise SchemaError(f"the aliases of {of} are no list of names")
    return aliases


def _fits(schema: Any, value: Any) -> bool:
    """Whether a default, as JSON has it, is one of the schema's type."""
    if schema.type in PRIMITIVES:
        return PRIMITIVES[schema.type](value)
    match schema.type:
        case "fixed":
            return _bytes(value) and len(value) == schema.size
        case "enum":
            return value in schema.symbols
        case "array":
            return isinstance(value, list) and all(_fits(schema.items, each) for each in value)
        case "map":
            return isinstance(value, dict) and all(_fits(schema.values, each) for each in value.values())
        case "union":
            return _fits(schema.schemas[0], value)
    return isinstance(value, dict) and all(
        _fits(field.type, value[field.name]) if field.name in value else field.has_default for field in schema.fields
    )
