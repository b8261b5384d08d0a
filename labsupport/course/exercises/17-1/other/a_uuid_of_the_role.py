import uuid


def transactional_id(program):
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{program['instance']}.{program['service']}"))
