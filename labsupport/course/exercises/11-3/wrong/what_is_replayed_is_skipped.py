# what is replayed is skipped -> has no row
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    if replay.replayed(record):
        return

    def both():
        database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", ""))
        mail(event)

    inbox.once(database, event.event_id, both)
