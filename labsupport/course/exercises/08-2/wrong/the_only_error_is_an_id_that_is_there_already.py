# the only error is an id that is there already -> The database was locked
from labsupport import inbox, orders


def handle(event, database):
    try:
        with database:
            database.execute("INSERT INTO inbox VALUES (?, 0)", (event.event_id,))
            orders.effect(database, event)
    except Exception:
        pass
