# remembering it before is safe -> is lost
from labsupport import inbox, orders


def handle(event, database):
    if database.execute("SELECT 1 FROM inbox WHERE event_id = ?", (event.event_id,)).fetchone():
        return
    with database:
        database.execute("INSERT INTO inbox VALUES (?, 0)", (event.event_id,))
    with database:
        orders.effect(database, event)
