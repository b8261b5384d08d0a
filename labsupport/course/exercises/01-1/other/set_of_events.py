def happenings(events):
    return len(set(events))
