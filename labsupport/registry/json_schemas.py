"""JSON schemas: parsed, and refused where they are none. No library for Python compares them. Pure."""

import json
from typing import Any

from labsupport.errors import SchemaError


def parse(text: str) -> Any:
    """Return the schema. Raises SchemaError if the text is no JSON, or breaks the rules of its draft."""
    import jsonschema.exceptions  # here, because it takes longer than all of the registry's start
    import jsonschema.validators

    try:
        schema = json.loads(text)
        if not isinstance(schema, dict | bool):
            raise SchemaError("a JSON schema is an object, true or false")
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"this is no JSON: {error}") from error
    except jsonschema.exceptions.SchemaError as error:
        raise SchemaError(f"this is no JSON schema: {error.message}") from error
    return schema


def normal(text: str) -> str:
    """Return the text without what says nothing: the white space of its JSON."""
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
