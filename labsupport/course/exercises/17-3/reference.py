NEXT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id LIMIT 1"


def relay(database, producer):
    """Send what is not sent, in order; mark each row when it is acknowledged."""
    while row := database.execute(NEXT).fetchone():
        number, topic, key, value = row
        producer.send(topic, value, key).get(timeout=10)
        with database:
            database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
