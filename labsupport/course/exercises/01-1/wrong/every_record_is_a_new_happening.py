# every record is a new happening -> has still happened once
def happenings(events):
    return len(events)
