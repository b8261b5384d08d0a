# the key is not needed -> no row of the outbox
SELECT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"


def mark(database, number):
    with database:
        database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))


def relay(database, producer):
    for number, topic, _, value in database.execute(SELECT).fetchall():
        producer.send(topic, value).get(timeout=10)
        mark(database, number)
