# every record is a new happening -> delivered again is still one happening
def happenings(events):
    return len(events)
