# three digits need no separator -> can the parts run together
def transactional_id(program):
    return f"{program['service']}{program['instance']:03d}"
