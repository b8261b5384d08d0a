# a callback can mark -> in this thread
SELECT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"


def mark(database, number):
    with database:
        database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))


def relay(database, producer):
    for number, topic, key, value in database.execute(SELECT).fetchall():
        sending = producer.send(topic, value, key)
        sending.add_callback(lambda _, number=number: mark(database, number))
        producer.flush()
        if sending.failed():
            raise sending.exception
