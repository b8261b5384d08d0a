# every function closes the database -> closed the database
def handle(event, database):
    order, status = event.payload["order_id"], event.payload["status"]
    version = event.payload.get("version", 0)
    found = database.execute("SELECT version FROM orders WHERE order_id = ?", (order,)).fetchone()
    if found is None or version > found[0]:
        with database:
            database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", (order, status, version))
    database.close()
