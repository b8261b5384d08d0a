# one row may be ahead -> Row 3 went although
SELECT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"


def mark(database, number):
    with database:
        database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))


def relay(database, producer):
    before = None
    for number, topic, key, value in database.execute(SELECT).fetchall():
        sending = producer.send(topic, value, key)
        if before:
            before[1].get(timeout=10)
            mark(database, before[0])
        before = number, sending
    if before:
        before[1].get(timeout=10)
        mark(database, before[0])
