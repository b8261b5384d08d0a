from labsupport import inbox, orders


def handle(event, database):
    inbox.once(database, event.event_id, lambda: orders.effect(database, event))
