# an id must be new at each start -> another transactional_id at its next start
import uuid


def transactional_id(program):
    return str(uuid.uuid4())
