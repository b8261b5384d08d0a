"""Protobuf schemas: the text of a .proto file, or what Confluent's Python client registers, its descriptor in base64.

The rules are those of Confluent's registry, which follow Protobuf's wire format: names do not matter, numbers do. A
field may change its type within a group that is written alike ("Updating A Message Type" in Protobuf's language guide).
"""

import base64
import binascii
import functools
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.protobuf.message import DecodeError

from labsupport.errors import SchemaError

Field = FieldDescriptorProto
COMPILER_SECONDS = 10  # it takes some hundredths

_GROUPS: tuple[tuple[int, ...], ...] = (
    (Field.TYPE_INT32, Field.TYPE_INT64, Field.TYPE_UINT32, Field.TYPE_UINT64, Field.TYPE_BOOL, Field.TYPE_ENUM),
    (Field.TYPE_SINT32, Field.TYPE_SINT64),
    (Field.TYPE_FIXED32, Field.TYPE_SFIXED32),
    (Field.TYPE_FIXED64, Field.TYPE_SFIXED64),
    (Field.TYPE_STRING, Field.TYPE_BYTES),
)
_ALIKE = {kind: group[0] for group in _GROUPS for kind in group}
_NAMED = (Field.TYPE_MESSAGE, Field.TYPE_GROUP)


@functools.lru_cache(1_000)
def parse(text: str) -> FileDescriptorProto:
    """Return the file's descriptor. Raises SchemaError if the text is no Protobuf schema, or has no message."""
    try:
        found = FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, DecodeError):
        found = _compiled(text)
    if not found.message_type:
        raise SchemaError("this Protobuf file has no message")
    return found


def serialized(text: str) -> str:
    """Return the descriptor in base64: what Confluent's Python client asks for with `format=serialized`."""
    return base64.b64encode(parse(text).SerializeToString()).decode()


def _compiled(text: str) -> FileDescriptorProto:
    """What Protobuf's compiler makes of the text. It may import Protobuf's own files, and no others."""
    with tempfile.TemporaryDirectory() as folder:
        file, made = Path(folder, "schema.proto"), Path(folder, "made")
        try:
            file.write_text(text, encoding="utf-8")
        except UnicodeEncodeError as error:
            raise SchemaError(f"this is no text: {error}") from error
        compiler = str(Path(sysconfig.get_path("scripts"), "protoc"))
        command = [compiler, f"--proto_path={folder}", f"--descriptor_set_out={made}", file.name]
        try:
            run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=COMPILER_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SchemaError(f"Protobuf's compiler does not run: {error}") from error
        if run.returncode:
            raise SchemaError(f"this is no Protobuf schema: {run.stderr.strip().replace(f'{file.name}:', 'line ')}")
        return FileDescriptorSet.FromString(made.read_bytes()).file[0]


def can_read(reader: FileDescriptorProto, writer: FileDescriptorProto) -> list[str]:
    """Return what stops `reader` from reading data of `writer`."""
    if reader.package != writer.package:
        return [f"PACKAGE_CHANGED: from {writer.package!r} to {reader.package!r}"]
    here = dict(_messages(reader.message_type))
    return [each for name, old in _messages(writer.message_type) for each in _changes(name, here.get(name), old)]


def _messages(messages: Iterable[DescriptorProto], prefix: str = "") -> Iterator[tuple[str, DescriptorProto]]:
    """Every message, also nested ones, by its name within the file. A map's entries are part of its field."""
    for message in messages:
        if not message.options.map_entry:
            yield f"{prefix}{message.name}", message
            yield from _messages(message.nested_type, f"{prefix}{message.name}.")


def _changes(name: str, new: DescriptorProto | None, old: DescriptorProto) -> Iterator[str]:
    if new is None:
        yield f"MESSAGE_REMOVED: {name}"
        return
    now = {field.number: field for field in new.field}
    before = {field.number: field for field in old.field}
    for number, field in before.items():
        where = f"{name}.{field.name} (field {number})"
        if number in now:
            yield from _field_changes(where, (new, now[number]), (old, field))
        elif oneof := _oneof(old, field):
            # A oneof that is gone with all its fields was never read: a part of it was.
            if oneof in _oneofs(new) or any(each.number in now for each in _oneofs(old)[oneof]):
                yield f"ONEOF_FIELD_REMOVED: {where}"
        elif field.label == Field.LABEL_REQUIRED:
            yield f"REQUIRED_FIELD_REMOVED: {where}"
    for number, field in now.items():
        if number not in before and field.label == Field.LABEL_REQUIRED:
            yield f"REQUIRED_FIELD_ADDED: {name}.{field.name} (field {number})"
    for oneof, fields in _oneofs(new).items():
        # Fields that could be set together, and now exclude each other.
        origins = [_oneof(old, before[each.number]) for each in fields if each.number in before]
        if len(set(origins)) > 1 or origins.count(None) > 1:
            yield f"FIELD_MOVED_TO_EXISTING_ONEOF: {name}.{oneof}"


def _field_changes(
    where: str, new: tuple[DescriptorProto, FieldDescriptorProto], old: tuple[DescriptorProto, FieldDescriptorProto]
) -> Iterator[str]:
    """What changed in a field; each is given with its message."""
    if _kind(*new) != _kind(*old):
        yield f"FIELD_KIND_CHANGED: {where}, from {_name(old[1])} to {_name(new[1])}"
    elif new[1].label != old[1].label and new[1].type not in (Field.TYPE_STRING, Field.TYPE_BYTES, *_NAMED):
        yield f"FIELD_NUMERIC_LABEL_CHANGED: {where}"


def _kind(message: DescriptorProto, field: FieldDescriptorProto) -> object:
    """What is written alike: a message's name, the group of a scalar's type, or those of a map's key and value."""
    if field.type not in _NAMED:
        return _ALIKE.get(field.type, field.type)
    for nested in message.nested_type:
        if nested.options.map_entry and nested.name == field.type_name.rpartition(".")[2]:
            return [_kind(nested, each) for each in nested.field]
    return field.type_name


def _name(field: FieldDescriptorProto) -> str:
    return field.type_name.lstrip(".") or Field.Type.Name(field.type).removeprefix("TYPE_").lower()


def _oneof(message: DescriptorProto, field: FieldDescriptorProto) -> str | None:
    """The name of the oneof that the field is in; a proto3 `optional` is in none."""
    in_one = field.HasField("oneof_index") and not field.proto3_optional
    return message.oneof_decl[field.oneof_index].name if in_one else None


def _oneofs(message: DescriptorProto) -> dict[str, list[FieldDescriptorProto]]:
    """The fields of each oneof."""
    found: dict[str, list[FieldDescriptorProto]] = {}
    for field in message.field:
        if name := _oneof(message, field):
            found.setdefault(name, []).append(field)
    return found
