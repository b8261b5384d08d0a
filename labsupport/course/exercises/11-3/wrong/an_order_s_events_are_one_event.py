# an order's events are one event -> Event B has no row
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    key = event.payload["order_id"]
    inbox.once(
        database, key, lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", ""))
    )
    if replay.replayed(record) is None:
        inbox.once(database, "mail " + key, lambda: mail(event))
