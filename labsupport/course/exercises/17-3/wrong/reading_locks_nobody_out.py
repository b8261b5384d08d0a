# reading locks nobody out -> a SELECT is not read to its end
SELECT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"


def mark(database, number):
    with database:
        database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))


def relay(database, producer):
    for number, topic, key, value in database.execute(SELECT):
        producer.send(topic, value, key).get(timeout=10)
        mark(database, number)
