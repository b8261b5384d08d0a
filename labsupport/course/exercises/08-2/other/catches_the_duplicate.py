import sqlite3

from labsupport import inbox, orders


def handle(event, database):
    try:
        with database:
            database.execute("INSERT INTO inbox VALUES (?, 0)", (event.event_id,))
            orders.effect(database, event)
    except sqlite3.IntegrityError:
        pass
