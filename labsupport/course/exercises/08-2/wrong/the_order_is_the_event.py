# the order is the event -> the id of no event
from labsupport import inbox, orders


def handle(event, database):
    key = event.payload["order_id"]
    with database:
        if database.execute("INSERT OR IGNORE INTO inbox VALUES (?, 0)", (key,)).rowcount:
            database.execute("INSERT INTO effects VALUES (?, ?, ?)", (key, key, ""))
