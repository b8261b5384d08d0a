# a value names its row -> Row 502 is not in the topic, and it is marked as sent
NEXT = "SELECT topic, key, value FROM outbox WHERE NOT sent ORDER BY id LIMIT 1"


def relay(database, producer):
    while row := database.execute(NEXT).fetchone():
        topic, key, value = row
        producer.send(topic, value, key).get(timeout=10)
        with database:
            database.execute("UPDATE outbox SET sent = 1 WHERE value = ?", (value,))
