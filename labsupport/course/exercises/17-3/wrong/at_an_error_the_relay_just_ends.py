# at an error the relay just ends -> returned as if all were well
SELECT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"


def mark(database, number):
    with database:
        database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))


def relay(database, producer):
    for number, topic, key, value in database.execute(SELECT).fetchall():
        try:
            producer.send(topic, value, key).get(timeout=10)
        except Exception:
            return
        mark(database, number)
