# ids are compared as texts -> in the order 20, 300, 9
SELECT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY CAST(id AS TEXT)"


def mark(database, number):
    with database:
        database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))


def relay(database, producer):
    for number, topic, key, value in database.execute(SELECT).fetchall():
        producer.send(topic, value, key).get(timeout=10)
        mark(database, number)
