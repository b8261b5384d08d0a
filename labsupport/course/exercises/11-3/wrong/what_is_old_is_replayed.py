# what is old is replayed -> the record is live: its mail is due
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    inbox.once(
        database,
        event.event_id,
        lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", "")),
    )
    import time

    if time.time() - event.timestamp.timestamp() < 86_400:
        inbox.once(database, "mail " + event.event_id, lambda: mail(event))
