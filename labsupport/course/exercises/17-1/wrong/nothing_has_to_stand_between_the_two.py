# nothing has to stand between the two -> can the parts run together
def transactional_id(program):
    return f"{program['service']}{program['instance']}"
