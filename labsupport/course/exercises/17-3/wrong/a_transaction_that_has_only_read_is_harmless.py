# a transaction that has only read is harmless -> no other connection can commit
NEXT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id LIMIT 1"


def relay(database, producer):
    database.isolation_level = None
    database.execute("BEGIN")
    while row := database.execute(NEXT).fetchone():
        number, topic, key, value = row
        producer.send(topic, value, key).get(timeout=10)
        database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
        database.execute("COMMIT")
        database.execute("BEGIN")
    database.execute("COMMIT")
