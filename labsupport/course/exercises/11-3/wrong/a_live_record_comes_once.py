# a live record comes once -> a redelivered event must have its mail once
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    inbox.once(
        database,
        event.event_id,
        lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", "")),
    )
    if replay.replayed(record) is None:
        mail(event)
