# looking first and writing later is one step -> came again
from labsupport import inbox, orders


def handle(event, database):
    if database.execute("SELECT 1 FROM inbox WHERE event_id = ?", (event.event_id,)).fetchone():
        return
    with database:
        database.execute("INSERT OR IGNORE INTO inbox VALUES (?, 0)", (event.event_id,))
        orders.effect(database, event)
