# a hundred rows are all -> Row 1101 is not in the topic
BATCH = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id LIMIT 100"


def relay(database, producer):
    for number, topic, key, value in database.execute(BATCH).fetchall():
        producer.send(topic, value, key).get(timeout=10)
        with database:
            database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
