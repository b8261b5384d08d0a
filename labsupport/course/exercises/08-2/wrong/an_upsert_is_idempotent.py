# an upsert is idempotent -> came again
from labsupport import inbox, orders


def handle(event, database):
    row = (event.event_id, "", "")
    with database:
        database.execute("INSERT OR REPLACE INTO effects VALUES (?, ?, ?)", row)
