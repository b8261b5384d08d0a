# what was read once stays true -> another process has written since
CACHE = {}


def handle(event, database):
    order, status = event.payload["order_id"], event.payload["status"]
    version = event.payload.get("version", 0)
    if order not in CACHE:
        found = database.execute("SELECT version FROM orders WHERE order_id = ?", (order,)).fetchone()
        CACHE[order] = found[0] if found else -1
    if version > CACHE[order]:
        CACHE[order] = version
        with database:
            database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", (order, status, version))
