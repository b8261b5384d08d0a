# next is the last one that is in it -> an event is missing
def restore(snapshot, records, begins):
    if any(begin > snapshot["next"].get(number, 0) for number, begin in begins.items()):
        return None
    state = dict(snapshot["state"])
    for record in records:
        if record.offset > snapshot["next"].get(record.partition, -1):
            key = record.key.decode()
            state[key] = state.get(key, 0) + 1
    return state
