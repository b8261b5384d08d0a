# the first letters are enough -> for both
def transactional_id(program):
    return f"{program['service'][:12]}-{program['instance']}"
