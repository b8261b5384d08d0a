# the event's time tells which is newer -> a newer version replaces an older one
TIMES = {}


def handle(event, database):
    order, status = event.payload["order_id"], event.payload["status"]
    version = event.payload.get("version", 0)
    found = database.execute("SELECT version FROM orders WHERE order_id = ?", (order,)).fetchone()
    if found is None or event.timestamp > TIMES.get(order, event.timestamp):
        with database:
            database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", (order, status, version))
        TIMES[order] = event.timestamp
