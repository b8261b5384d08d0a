# a sum of letters is unique -> for both
def transactional_id(program):
    return str(sum(map(ord, program["service"])) * 1000 + program["instance"])
