# what says where it comes from is replayed -> what tells a replayed record
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    inbox.once(
        database,
        event.event_id,
        lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", "")),
    )
    if "replay_origin" not in dict(record.headers):
        inbox.once(database, "mail " + event.event_id, lambda: mail(event))
