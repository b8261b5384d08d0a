# a number is an id, too -> wrong type
def transactional_id(program):
    return program["instance"]
