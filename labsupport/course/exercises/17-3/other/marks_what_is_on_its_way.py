NEXT = "SELECT id, topic, key, value FROM outbox WHERE sent != 1 ORDER BY id LIMIT 1"


def mark(database, sent, number):
    with database:
        database.execute("UPDATE outbox SET sent = ? WHERE id = ?", (sent, number))


def relay(database, producer):
    while row := database.execute(NEXT).fetchone():
        number, topic, key, value = row
        mark(database, 2, number)  # on its way
        producer.send(topic, value, key).get(timeout=10)
        mark(database, 1, number)
