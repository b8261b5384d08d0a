# same content, same event -> may look alike and still be two
def happenings(events):
    return len({(e.event_type, str(e.timestamp), str(e.payload)) for e in events})
