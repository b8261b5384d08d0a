# an UPDATE knows which row is meant -> nothing about other orders
def handle(event, database):
    order, status = event.payload["order_id"], event.payload["status"]
    version = event.payload.get("version", 0)
    found = database.execute("SELECT version FROM orders WHERE order_id = ?", (order,)).fetchone()
    with database:
        if found is None:
            database.execute("INSERT INTO orders VALUES (?, ?, ?)", (order, status, version))
        elif version > found[0]:
            database.execute("UPDATE orders SET status = ?, version = ?", (status, version))
