from labsupport import Event


def handle(record, database, mail):
    event = Event.decode(record.value)
    live = "replay_id" not in dict(record.headers)
    with database:
        new = "INSERT OR IGNORE INTO inbox VALUES (?, 0)"
        if database.execute(new, (event.event_id,)).rowcount:
            database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", ""))
        if live and database.execute(new, ("m" + event.event_id,)).rowcount:
            mail(event)
