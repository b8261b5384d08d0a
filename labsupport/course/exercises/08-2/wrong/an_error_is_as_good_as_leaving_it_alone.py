# an error is as good as leaving it alone -> UNIQUE constraint failed
from labsupport import inbox, orders


def handle(event, database):
    with database:
        orders.effect(database, event)
        database.execute("INSERT INTO inbox VALUES (?, 0)", (event.event_id,))
