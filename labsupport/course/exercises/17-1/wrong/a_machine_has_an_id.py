# a machine has an id -> another transactional_id at its next start
def transactional_id(program):
    return f"{program['service']}-{program['instance']}-{program['host']}"
