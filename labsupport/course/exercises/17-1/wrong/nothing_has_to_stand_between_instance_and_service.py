# nothing has to stand between instance and service -> can the parts run together
def transactional_id(program):
    return f"{program['instance']}{program['service']}"
