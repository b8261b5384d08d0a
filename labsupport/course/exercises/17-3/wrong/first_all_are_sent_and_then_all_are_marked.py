# first all are sent and then all are marked -> mark each row by itself
SELECT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"


def mark(database, number):
    with database:
        database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))


def relay(database, producer):
    rows = database.execute(SELECT).fetchall()
    for _, topic, key, value in rows:
        producer.send(topic, value, key).get(timeout=10)
    for number, *_ in rows:
        mark(database, number)
