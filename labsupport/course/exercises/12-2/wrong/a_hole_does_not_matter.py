# a hole does not matter -> There is a hole
def restore(snapshot, records, begins):
    state = dict(snapshot["state"])
    for record in records:
        if record.offset >= snapshot["next"].get(record.partition, 0):
            key = record.key.decode()
            state[key] = state.get(key, 0) + 1
    return state
