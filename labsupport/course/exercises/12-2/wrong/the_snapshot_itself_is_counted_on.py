# the snapshot itself is counted on -> changed its arguments
def restore(snapshot, records, begins):
    if any(begin > snapshot["next"].get(number, 0) for number, begin in begins.items()):
        return None
    state = snapshot["state"]
    for record in records:
        if record.offset >= snapshot["next"].get(record.partition, 0):
            key = record.key.decode()
            state[key] = state.get(key, 0) + 1
    return state
