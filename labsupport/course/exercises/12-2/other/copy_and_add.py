def restore(snapshot, records, begins):
    if any(begin > snapshot["next"].get(number, 0) for number, begin in begins.items()):
        return None
    from copy import deepcopy

    state = deepcopy(snapshot)["state"]
    for record in records:
        if record.offset < snapshot["next"].get(record.partition, 0):
            continue
        state.setdefault(record.key.decode(), 0)
        state[record.key.decode()] += 1
    return state
