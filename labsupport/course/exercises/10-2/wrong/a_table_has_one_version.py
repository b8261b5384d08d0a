# a table has one version -> which order's version
def handle(event, database):
    order, status = event.payload["order_id"], event.payload["status"]
    version = event.payload.get("version", 0)
    newest = database.execute("SELECT max(version) FROM orders").fetchone()[0]
    if newest is None or version > newest:
        with database:
            database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", (order, status, version))
