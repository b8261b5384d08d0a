# a dict knows the versions -> in the table
KNOWN = {}


def handle(event, database):
    order, status = event.payload["order_id"], event.payload["status"]
    version = event.payload.get("version", 0)
    if order not in KNOWN or version > KNOWN[order]:
        KNOWN[order] = version
        with database:
            database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", (order, status, version))
