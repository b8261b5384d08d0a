from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    inbox.once(
        database,
        event.event_id,
        lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", "")),
    )
    if replay.replayed(record) is not None:
        return
    seen = database.execute("SELECT 1 FROM inbox WHERE event_id = ?", ("m-" + event.event_id,))
    if seen.fetchone() is None:
        mail(event)
        with database:
            database.execute("INSERT INTO inbox VALUES (?, 0)", ("m-" + event.event_id,))
