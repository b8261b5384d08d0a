# the mail is remembered by the replay, too -> its mail never went out
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    inbox.once(
        database,
        event.event_id,
        lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", "")),
    )

    def send():
        if replay.replayed(record) is None:
            mail(event)

    inbox.once(database, "mail " + event.event_id, send)
