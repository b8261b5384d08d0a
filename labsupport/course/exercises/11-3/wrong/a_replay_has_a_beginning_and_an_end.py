# a replay has a beginning and an end -> a switch that a replay turns on
MODE = []


from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    inbox.once(
        database,
        event.event_id,
        lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", "")),
    )
    if replay.replayed(record):
        MODE.append(1)
    if not MODE:
        inbox.once(database, "mail " + event.event_id, lambda: mail(event))
