# one memory is enough for both -> its mail never went out
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)

    def both():
        database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", ""))
        if replay.replayed(record) is None:
            mail(event)

    inbox.once(database, event.event_id, both)
