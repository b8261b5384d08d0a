# a mail that fails is not this service's concern -> as if all were done
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    inbox.once(
        database,
        event.event_id,
        lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", "")),
    )

    def send():
        try:
            mail(event)
        except Exception:
            pass

    if replay.replayed(record) is None:
        inbox.once(database, "mail " + event.event_id, send)
