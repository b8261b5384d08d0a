# the database writes by itself -> another connection sees 0
from labsupport import inbox, orders


def handle(event, database):
    database.execute("INSERT OR IGNORE INTO inbox VALUES (?, 0)", (event.event_id,))
    orders.effect(database, event)
