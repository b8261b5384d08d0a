# first remembered, then sent -> has 1 row and no mail
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    inbox.once(
        database,
        event.event_id,
        lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", "")),
    )
    if replay.replayed(record) is None and inbox.once(database, "mail " + event.event_id, lambda: None):
        mail(event)
