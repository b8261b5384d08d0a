# a mark is what is in it -> though its value is empty
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    inbox.once(
        database,
        event.event_id,
        lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", "")),
    )
    if not replay.replayed(record):
        inbox.once(database, "mail " + event.event_id, lambda: mail(event))
