# the first one needs no number -> The transactional_id is empty
def transactional_id(program):
    return f"{program['service']}-{program['instance']}" if program["instance"] else ""
