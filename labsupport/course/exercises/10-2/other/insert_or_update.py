def handle(event, database):
    order, status = event.payload["order_id"], event.payload["status"]
    version = event.payload.get("version", 0)
    with database:
        new = database.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?)", (order, status, version)).rowcount
        if not new:
            database.execute(
                "UPDATE orders SET status = ?, version = ? WHERE order_id = ? AND version < ?",
                (status, version, order, version),
            )
