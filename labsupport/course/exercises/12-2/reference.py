from collections import Counter


def restore(snapshot, records, begins):
    """How many events each key has had; None if some are missing."""
    next_of = snapshot["next"]
    if any(begin > next_of.get(number, 0) for number, begin in begins.items()):
        return None
    state = Counter(snapshot["state"])
    for record in records:
        if record.offset >= next_of.get(record.partition, 0):
            state[record.key.decode()] += 1
    return state
