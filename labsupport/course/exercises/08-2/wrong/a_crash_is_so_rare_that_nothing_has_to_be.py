# a crash is so rare that nothing has to be remembered -> came again
from labsupport import inbox, orders


def handle(event, database):
    with database:
        orders.effect(database, event)
