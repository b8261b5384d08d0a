# four hexadecimal digits will do -> for both
import hashlib


def transactional_id(program):
    role = f"{program['service']}-{program['instance']}"
    return hashlib.sha256(role.encode()).hexdigest()[:4]
