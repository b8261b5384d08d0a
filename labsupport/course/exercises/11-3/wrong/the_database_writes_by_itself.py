# the database writes by itself -> a transaction is open
from labsupport import Event, inbox, replay


def handle(record, database, mail):
    event = Event.decode(record.value)
    database.execute("INSERT INTO effects VALUES (?, ?, ?)", (event.event_id, "", ""))
