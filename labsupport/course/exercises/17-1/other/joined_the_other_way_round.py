def transactional_id(program):
    service, instance, *_ = program.values()
    return "/".join(("shop", str(instance), service))
