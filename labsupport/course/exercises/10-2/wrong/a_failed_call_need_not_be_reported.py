# a failed call need not be reported -> as if it were done
def handle(event, database):
    order, status = event.payload["order_id"], event.payload["status"]
    version = event.payload.get("version", 0)
    found = database.execute("SELECT version FROM orders WHERE order_id = ?", (order,)).fetchone()
    if found is None or version > found[0]:
        try:
            with database:
                database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", (order, status, version))
        except Exception:
            pass
