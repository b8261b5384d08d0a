# a record's key is text -> record.key.decode()
def restore(snapshot, records, begins):
    if any(begin > snapshot["next"].get(number, 0) for number, begin in begins.items()):
        return None
    state = dict(snapshot["state"])
    for record in records:
        if record.offset >= snapshot["next"].get(record.partition, 0):
            key = record.key
            state[key] = state.get(key, 0) + 1
    return state
