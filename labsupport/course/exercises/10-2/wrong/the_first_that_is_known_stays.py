# the first that is known stays -> a newer version replaces an older one
def handle(event, database):
    order, status = event.payload["order_id"], event.payload["status"]
    version = event.payload.get("version", 0)
    with database:
        database.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?)", (order, status, version))
