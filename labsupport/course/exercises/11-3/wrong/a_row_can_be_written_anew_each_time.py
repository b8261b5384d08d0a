# a row can be written anew each time -> was deleted or changed
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    with database:
        database.execute("DELETE FROM effects WHERE event_id = ?", (event.event_id,))
        database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", ""))
    if replay.replayed(record) is None:
        inbox.once(database, "mail " + event.event_id, lambda: mail(event))
