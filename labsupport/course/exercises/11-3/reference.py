from labsupport import Event, inbox, replay


def handle(record, database, mail):
    """One row for each event; one mail for each that came live."""
    event = Event.decode(record.value)
    insert = ("INSERT INTO effects VALUES (?, '', '')", (event.event_id,))
    inbox.once(database, event.event_id, lambda: database.execute(*insert))
    if replay.replayed(record) is None:
        inbox.once(database, "mail " + event.event_id, lambda: mail(event))
