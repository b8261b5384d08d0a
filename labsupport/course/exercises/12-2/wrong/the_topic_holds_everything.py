# the topic holds everything -> an event is missing
def restore(snapshot, records, begins):
    if any(begin > snapshot["next"].get(number, 0) for number, begin in begins.items()):
        return None
    state = {}
    for record in records:
        if True:
            key = record.key.decode()
            state[key] = state.get(key, 0) + 1
    return state
