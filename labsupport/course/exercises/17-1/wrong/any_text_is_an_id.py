# any text is an id -> Kafka cannot take
def transactional_id(program):
    return program["service"].ljust(40_000) + str(program["instance"])
