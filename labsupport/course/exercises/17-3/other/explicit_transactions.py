def relay(database, producer):
    database.isolation_level = None
    while True:
        found = database.execute("SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id").fetchone()
        if not found:
            break
        metadata = producer.send(found[1], key=found[2], value=found[3]).get(timeout=20)
        assert metadata.offset >= 0
        database.execute("BEGIN IMMEDIATE")
        database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (found[0],))
        database.execute("COMMIT")
