def relay(database, producer):
    query = "SELECT * FROM outbox WHERE sent = 0 ORDER BY id ASC LIMIT 1"
    row = database.execute(query).fetchone()
    if row is None:
        return
    sending = producer.send(row[1], row[3], row[2], partition=0)
    producer.flush(timeout=10)
    if sending.failed():
        raise sending.exception
    database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", row[:1])
    database.commit()
    relay(database, producer)
