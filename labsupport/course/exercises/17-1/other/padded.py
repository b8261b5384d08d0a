def transactional_id(program):
    return "{service}#{instance:05d}".format_map(program)
