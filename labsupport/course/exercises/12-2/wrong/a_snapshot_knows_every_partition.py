# a snapshot knows every partition -> KeyError
def restore(snapshot, records, begins):
    state = dict(snapshot["state"])
    for record in records:
        if record.offset >= snapshot["next"][record.partition]:
            key = record.key.decode()
            state[key] = state.get(key, 0) + 1
    return state
