# one offset is enough for all partitions -> an event is missing
def restore(snapshot, records, begins):
    if any(begin > snapshot["next"].get(number, 0) for number, begin in begins.items()):
        return None
    state = dict(snapshot["state"])
    for record in records:
        if record.offset >= max(snapshot["next"].values(), default=0):
            key = record.key.decode()
            state[key] = state.get(key, 0) + 1
    return state
