# hash gives a number for each name -> another process
def transactional_id(program):
    return str(hash((program["service"], program["instance"])))
