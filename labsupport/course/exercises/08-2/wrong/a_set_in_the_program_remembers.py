# a set in the program remembers -> came again
from labsupport import orders

DONE = set()


def handle(event, database):
    if event.event_id not in DONE:
        with database:
            orders.effect(database, event)
        DONE.add(event.event_id)
