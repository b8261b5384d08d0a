# flush says that all is stored -> Row 2 is marked as sent
SELECT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"


def mark(database, number):
    with database:
        database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))


def relay(database, producer):
    for number, topic, key, value in database.execute(SELECT).fetchall():
        producer.send(topic, value, key)
        producer.flush()
        mark(database, number)
