import json

from labsupport import avro_data
from labsupport.registry import avro_schemas
from labsupport.registry.compatibility import incompatibilities


def compatible(new, old, level):
    new, *old = [avro_schemas.parse(json.dumps(each)) for each in [new, *old]]
    return not incompatibilities(new, old, level, avro_schemas.can_read)
