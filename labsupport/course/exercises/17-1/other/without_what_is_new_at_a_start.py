NEW = {"started", "host", "pid"}


def transactional_id(program):
    kept = dict(program)
    for name in NEW:
        kept.pop(name)
    return repr(sorted(kept.items()))
