# the database writes by itself -> no row
def handle(event, database):
    order, status = event.payload["order_id"], event.payload["status"]
    version = event.payload.get("version", 0)
    database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", (order, status, version))
