import time


def relay(database, producer):
    query = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"
    for number, topic, key, value in database.execute(query).fetchall():
        sending = producer.send(topic, value, key)
        while not sending.is_done:
            time.sleep(0.01)
        if sending.failed():
            raise sending.exception
        with database:
            database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
