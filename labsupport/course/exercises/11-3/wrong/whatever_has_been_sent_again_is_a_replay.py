# whatever has been sent again is a replay -> a redrive is not a replay
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    inbox.once(
        database,
        event.event_id,
        lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", "")),
    )
    if len(record.headers) == 2:
        inbox.once(database, "mail " + event.event_id, lambda: mail(event))
