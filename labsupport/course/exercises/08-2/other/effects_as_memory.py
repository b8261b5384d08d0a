from labsupport import inbox, orders


def handle(event, database):
    with database:
        database.execute(
            "INSERT INTO effects SELECT ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM effects WHERE event_id = ?)",
            (event.event_id, "", "", event.event_id),
        )
