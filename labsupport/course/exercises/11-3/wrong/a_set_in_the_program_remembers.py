# a set in the program remembers -> outside its database
DONE = set()


from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    inbox.once(
        database,
        event.event_id,
        lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", "")),
    )
    if replay.replayed(record) is None and event.event_id not in DONE:
        DONE.add(event.event_id)
        mail(event)
