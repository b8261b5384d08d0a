"""What the registry accepts: every level, with up to three earlier versions in every order."""

import json
from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

from labsupport.course.submission import Submission, TryAgain
from labsupport.registry import avro_data, avro_schemas
from labsupport.registry.compatibility import LEVELS, incompatibilities
from labsupport.shop.schemas import SENT, STATUS, evolve, record

Schema = dict[str, Any]

PLAIN, ID = record(order_id="string", items="int"), record(order_id="string")
CURRENCY = {"type": "string"}
LINE = record(sku="string")
PRICED = evolve(LINE, price={"type": "long"})
# Versions by what the message calls them. Each pair of them differs in one direction, in both, or in none.
VERSIONS: dict[str, Schema] = {
    "{order_id, items}": PLAIN,
    "{order_id, items, currency = 'EUR'}": evolve(PLAIN, currency={**CURRENCY, "default": "EUR"}),
    "{order_id, items, currency}": evolve(PLAIN, currency=CURRENCY),
    "{order_id, items, coupon: null or string}": evolve(PLAIN, coupon={"type": ["null", "string"]}),
    "{items: long, order_id}": record(items="long", order_id="string"),
}
# Pairs of versions that differ in a name, or inside a type.
PAIRS: tuple[dict[str, Schema], ...] = (
    {"{order_id}": ID, "{order}": record(order="string")},
    {
        "{order_id}": ID,
        "{order, also called order_id}": evolve(ID, order_id={"name": "order", "aliases": ["order_id"]}),
    },
    {"{status: OPEN or PAID}": record(status=STATUS), "{status: OPEN, PAID or SENT}": record(status=SENT)},
    {
        "{line: {sku}}": record(line={**LINE, "name": "Line"}),
        "{line: {sku, price}}": record(line={**PRICED, "name": "Line"}),
    },
)


def require_levels(answer: Submission) -> str:
    """Every level after up to three versions; then pairs that a comparison of names alone does not tell apart."""
    tried = 0
    for names, schemas in _histories():
        for level in LEVELS:
            _require(answer, names, schemas, level)
            tried += 1
    return f"Right for {tried} changes: every level, with up to three earlier versions."


def _histories() -> Iterator[tuple[tuple[str, ...], tuple[Schema, ...]]]:
    """The names and the schemas of the earlier versions, and of the new one as the last.

    None comes back after another one: a registry keeps the version that it has, whatever the level.
    """
    yield from _orders(VERSIONS, 1)
    for name, schema in VERSIONS.items():
        yield (name, name), (schema, schema)
    for length in (2, 3, 4):
        yield from _orders(VERSIONS, length)
    for pair in PAIRS:
        yield from _orders(pair, 2)


def _orders(versions: dict[str, Schema], length: int) -> Iterator[tuple[tuple[str, ...], tuple[Schema, ...]]]:
    for chosen in permutations(versions.items(), length):
        names, schemas = zip(*chosen, strict=True)
        yield names, schemas


def _require(answer: Submission, names: Sequence[str], schemas: Sequence[Schema], level: str) -> None:
    *old, new = schemas
    came_back = answer(new, old, level, returns=bool, asks="True or False")
    right = not _reasons(new, old, level)
    if came_back == right:
        return
    *earlier, newest = names
    rule, look_at = _why(new, old, level)
    raise TryAgain(
        says=f"The registry {'accepts' if right else 'refuses'} this version under {level}.",
        given="\n".join(
            [
                *(f"version {number}: {name}" for number, name in enumerate(earlier, 1)),
                f"new: {newest}",
                f"level: {level}",
            ]
        ),
        came_back=str(came_back),
        rule=rule,
        look_at=look_at,
    )


def _reasons(new: Schema, old: Sequence[Schema], level: str) -> list[str]:
    parsed = [avro_schemas.parse(json.dumps(each)) for each in (new, *old)]
    return incompatibilities(parsed[0], parsed[1:], level, avro_schemas.can_read)


def _why(new: Schema, old: Sequence[Schema], level: str) -> tuple[str, str]:
    """The rule that is broken, and what to look at."""
    if level == "NONE":
        return "NONE compares with nothing", "does every level reach your comparison?"
    name, transitive = level.removesuffix("_TRANSITIVE"), level.endswith("_TRANSITIVE")
    if not old:
        return "there is no earlier version that the new one could break", "what is old[-1] of an empty list?"
    if len({bool(_reasons(new, [each], name)) for each in old}) > 1:
        if transitive:
            met = "a consumer may still have any version" if name == "FORWARD" else "who replays meets every version"
            return (
                f"{met}: a transitive level compares with all of them",
                "which of the versions do you look at, and must all of them fit, or one?",
            )
        return (
            f"{level} compares with the latest version alone, and that is the last of the list: the first one first",
            "which version is old[-1]?",
        )
    if name == "FULL":
        return (
            "FULL asks for both directions: new reads old, and old reads new",
            "`and`, not `or`: does each level with FULL in its name get there?",
        )
    return _directions(new, old[-1], name)


def _directions(new: Schema, old: Schema, name: str) -> tuple[str, str]:
    """What one direction asks for, and why it fails here or holds."""
    if name == "BACKWARD":
        rule = "BACKWARD: a consumer with the new schema reads what the old one wrote"
        reader, writer = new, old
    else:
        rule = "FORWARD: a consumer that has not been upgraded reads what the new schema writes"
        reader, writer = old, new
    nullable = any(isinstance(each["type"], list) and "default" not in each for each in reader["fields"])
    if nullable and not avro_data.can_read(reader, writer):
        return f"{rule}; a missing field needs a default, and nullable is not a default", "do you call can_read?"
    if any("aliases" in each for each in reader["fields"]):
        return f"{rule}; an alias in the reader's schema names the writer's field", "do you call can_read?"
    types = {each["name"]: each["type"] for each in writer["fields"]}
    if any(types.get(each["name"], each["type"]) != each["type"] for each in reader["fields"]):
        return f"{rule}; that depends on a field's type, too", "do you call can_read?"
    if avro_data.can_read(old, new) != avro_data.can_read(new, old):
        other = "a consumer that has not been upgraded is not asked" if name == "BACKWARD" else "a new one is not asked"
        return f"{rule}; {other}", "who is the reader in can_read(reader, writer), and who the writer?"
    return rule, "do you call can_read?"
