# rows do no harm -> has 2 rows
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    with database:
        database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", ""))
    if replay.replayed(record) is None:
        inbox.once(database, "mail " + event.event_id, lambda: mail(event))
