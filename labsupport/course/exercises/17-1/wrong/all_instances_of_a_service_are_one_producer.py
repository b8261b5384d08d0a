# all instances of a service are one producer -> Two programs that run at the same time
def transactional_id(program):
    return program["service"]
