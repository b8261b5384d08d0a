"""The state of the registry: what the records of its topic say, applied in their order. Pure.

Keys and values are Confluent's, so that its registry, or any other on the same format, could read the topic. Schemas
that are equal have one id, in all subjects.
"""

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labsupport.errors import RegistryError
from labsupport.registry import avro_schemas, json_schemas, protobuf_schemas
from labsupport.registry.compatibility import LEVELS, incompatibilities

DEFAULT_LEVEL = "BACKWARD"
AVRO, JSON, PROTOBUF = "AVRO", "JSON", "PROTOBUF"
TYPES = (AVRO, JSON, PROTOBUF)
LATEST = ("latest", "-1")


@dataclass(frozen=True)
class Version:
    """A schema under its subject and version; `kind` is one of TYPES, `deleted` a soft deletion."""

    subject: str
    version: int
    id: int
    kind: str
    schema: str
    deleted: bool = False

    @property
    def key(self) -> dict[str, Any]:
        """The key of its record."""
        return {"keytype": "SCHEMA", "subject": self.subject, "version": self.version, "magic": 1}

    @property
    def value(self) -> dict[str, Any]:
        """The value of its record, which is also what the interface answers. Avro is not named: it came first."""
        named = {} if self.kind == AVRO else {"schemaType": self.kind}
        return {"subject": self.subject, "version": self.version, "id": self.id, **named, "schema": self.schema}


@dataclass
class Subjects:
    """Subjects with their versions, and levels by subject; the level under "" is the global one."""

    versions: dict[str, dict[int, Version]] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)
    last_id: int = 0

    # Applying what the topic says

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply a record of the topic. Records of other kinds, and damaged ones, are left to whoever wrote them."""
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            what = json.loads(key or b"{}")
            if value is None:
                self._remove(what)
            else:
                self._store(what, json.loads(value))

    def _store(self, what: dict[str, Any], said: dict[str, Any]) -> None:
        match what.get("keytype"):
            case "SCHEMA":
                kind, deleted = said.get("schemaType", AVRO), said.get("deleted", False)
                stored = Version(said["subject"], said["version"], said["id"], kind, said["schema"], deleted)
                self.versions.setdefault(stored.subject, {})[stored.version] = stored
                self.last_id = max(self.last_id, stored.id)
            case "CONFIG":
                self.levels[what["subject"] or ""] = said["compatibilityLevel"]

    def _remove(self, what: dict[str, Any]) -> None:
        match what.get("keytype"):
            case "SCHEMA":
                self.versions.get(what["subject"], {}).pop(what["version"], None)
            case "CONFIG":
                self.levels.pop(what["subject"] or "", None)

    # Answering

    def names(self, deleted: bool = False) -> list[str]:
        """The subjects, sorted; `deleted`: also those whose versions are all deleted."""
        return sorted(name for name in self.versions if self._of(name, deleted))

    def of(self, subject: str, deleted: bool = False) -> list[Version]:
        """The versions of a subject, in their order. Raises RegistryError if there is none."""
        if not (found := self._of(subject, deleted)):
            raise RegistryError(404, 40401, f"Subject '{subject}' not found.")
        return found

    def version(self, subject: str, number: str, deleted: bool = False) -> Version:
        """One version of a subject: a number as text, or "latest". Raises RegistryError if it is not there."""
        if number in LATEST:
            return self.of(subject, deleted)[-1]
        if not re.fullmatch("[0-9]{1,10}", number) or not 0 < int(number) < 2**31:
            said = 'Allowed values are between [1, 2^31-1] and the string "latest"'
            raise RegistryError(422, 42202, f"The specified version '{number}' is not a valid version id. {said}")
        for each in self.of(subject, deleted):
            if each.version == int(number):
                return each
        raise RegistryError(404, 40402, f"Version {number} not found.")

    def with_id(self, number: int) -> list[Version]:
        """All versions with this id, also deleted ones: their events are still read. Raises RegistryError for none."""
        found = [each for versions in self.versions.values() for each in versions.values() if each.id == number]
        if not found:
            raise RegistryError(404, 40403, f"Schema {number} not found")
        return found

    def level(self, subject: str = "") -> str:
        """The level that holds for the subject, or globally."""
        return self.levels.get(subject) or self.levels.get("") or DEFAULT_LEVEL

    def same(self, subject: str, kind: str, schema: str, deleted: bool = False) -> Version | None:
        """The version of the subject that has this schema; None if none has."""
        found = [each for each in self._of(subject, deleted) if (each.kind, each.schema) == (kind, schema)]
        return found[-1] if found else None

    # Deciding: each returns the record to write

    def register(self, subject: str, kind: str, text: str) -> Version:
        """Return the version that this schema gets, or has. Raises RegistryError if it breaks the subject's level."""
        schema = normal(kind, text)
        if there := self.same(subject, kind, schema):
            return there
        if reasons := self.breaks(subject, kind, text, self._of(subject)):
            latest = "; ".join(reasons)
            said = "Schema being registered is incompatible with an earlier schema"
            raise RegistryError(409, 409, f'{said} for subject "{subject}", details: [{latest}]')
        equal = [
            each.id
            for versions in self.versions.values()
            for each in versions.values()
            if (each.kind, each.schema) == (kind, schema)
        ]
        number = max(self.versions.get(subject, {}), default=0) + 1
        return Version(subject, number, equal[0] if equal else self.last_id + 1, kind, schema)

    def breaks(self, subject: str, kind: str, text: str, earlier: list[Version], level: str = "") -> list[str]:
        """Return why the schema breaks the level against these versions. Raises RegistryError if it is no schema."""
        new = kind, parse(kind, text)
        parsed = [(each.kind, parse(each.kind, each.schema)) for each in earlier]
        return incompatibilities(new, parsed, level or self.level(subject), _can_read)

    def _of(self, subject: str, deleted: bool = False) -> list[Version]:
        found = self.versions.get(subject, {})
        return [found[number] for number in sorted(found) if deleted or not found[number].deleted]


def parse(kind: str, text: str) -> Any:
    """Return the parsed schema. Raises SchemaError if the text is none, RegistryError for an unknown kind."""
    match kind:
        case "AVRO":
            return avro_schemas.parse(text)
        case "JSON":
            return json_schemas.parse(text)
        case "PROTOBUF":
            return protobuf_schemas.parse(text)
    raise RegistryError(422, 42201, f"Invalid schema type {kind}: one of {', '.join(TYPES)}")


def _can_read(reader: tuple[str, Any], writer: tuple[str, Any]) -> list[str]:
    """Return what stops `reader` from reading data of `writer`: each a kind and a parsed schema."""
    (kind, new), (other, old) = reader, writer
    if kind != other:
        return [f"one schema is {kind}, the other {other}"]
    match kind:
        case "AVRO":
            return avro_schemas.can_read(new, old)
        case "PROTOBUF":
            return protobuf_schemas.can_read(new, old)
    return []  # no library for Python compares JSON schemas; what is stored, is stored unchecked


def normal(kind: str, text: str) -> str:
    """Return the text of a schema as it is stored, so that equal schemas have equal texts."""
    parse(kind, text)
    match kind:
        case "AVRO":
            return avro_schemas.normal(text)
        case "JSON":
            return json_schemas.normal(text)
    return text


def valid_level(said: Mapping[str, Any]) -> str:
    """Return the level that a request names. Raises RegistryError if it is none."""
    level = said.get("compatibility", said.get("compatibilityLevel"))
    if not isinstance(level, str) or level.upper() not in LEVELS:
        raise RegistryError(422, 42203, f"Invalid compatibility level {level!r}. Valid values are {', '.join(LEVELS)}")
    return level.upper()
