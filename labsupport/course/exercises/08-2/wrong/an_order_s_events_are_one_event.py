# an order's events are one event -> is lost
from labsupport import inbox, orders


def handle(event, database):
    mark = ("INSERT OR IGNORE INTO inbox VALUES (?, 0)", (event.payload["order_id"],))
    with database:
        if database.execute(*mark).rowcount:
            orders.effect(database, event)
