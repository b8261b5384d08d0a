# replay is free of effects -> the event was only replayed
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)

    def both():
        database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", ""))
        mail(event)

    inbox.once(database, event.event_id, both)
