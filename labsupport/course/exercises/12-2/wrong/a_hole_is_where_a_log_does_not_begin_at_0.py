# a hole is where a log does not begin at 0 -> Nothing is missing here
def restore(snapshot, records, begins):
    if any(begins.values()):
        return None
    state = dict(snapshot["state"])
    for record in records:
        if record.offset >= snapshot["next"].get(record.partition, 0):
            key = record.key.decode()
            state[key] = state.get(key, 0) + 1
    return state
