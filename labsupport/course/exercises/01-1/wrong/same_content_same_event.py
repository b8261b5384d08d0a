# same content, same event -> may look the same and still be two
def happenings(events):
    return len({(e.event_type, str(e.timestamp), str(e.payload)) for e in events})
