import hashlib
import json


def transactional_id(program):
    role = {name: program[name] for name in ("instance", "service")}
    return hashlib.sha256(json.dumps(role, sort_keys=True).encode()).hexdigest()
