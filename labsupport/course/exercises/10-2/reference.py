def handle(event, database):
    """Keep the newest known state of the event's order."""
    payload = event.payload
    row = (payload["order_id"], payload["status"], payload.get("version", 0))
    with database:
        database.execute(
            "INSERT INTO orders VALUES (?, ?, ?) ON CONFLICT (order_id) DO UPDATE "
            "SET status = excluded.status, version = excluded.version "
            "WHERE excluded.version > orders.version",
            row,
        )
