# a refusal by the database does not concern the mail -> as if all were done
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    try:
        inbox.once(
            database,
            event.event_id,
            lambda: database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", "")),
        )
    except Exception:
        pass
    if replay.replayed(record) is None:
        try:
            inbox.once(database, "mail " + event.event_id, lambda: mail(event))
        except OSError:
            raise
        except Exception:
            pass
