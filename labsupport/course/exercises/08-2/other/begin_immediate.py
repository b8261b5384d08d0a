from labsupport import inbox, orders


def handle(event, database):
    database.execute("BEGIN IMMEDIATE")
    seen = database.execute("SELECT 1 FROM inbox WHERE event_id = ?", (event.event_id,)).fetchone()
    if not seen:
        database.execute("INSERT INTO inbox VALUES (?, 0)", (event.event_id,))
        orders.effect(database, event)
    database.commit()
