# an inbox keeps old events out -> changes nothing
DONE = set()


def handle(event, database):
    order, status = event.payload["order_id"], event.payload["status"]
    version = event.payload.get("version", 0)
    if event.event_id not in DONE:
        with database:
            database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", (order, status, version))
    DONE.add(event.event_id)
