# the mail may go first -> before the row was there
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    if replay.replayed(record) is None:
        inbox.once(database, "mail " + event.event_id, lambda: mail(event))
    inbox.once(
        database,
        event.event_id,
        lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", "")),
    )
