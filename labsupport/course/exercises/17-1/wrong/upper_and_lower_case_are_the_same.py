# upper and lower case are the same -> for both
def transactional_id(program):
    return f"{program['service'].lower()}-{program['instance']}"
