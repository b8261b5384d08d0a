# whoever has sent a record need not look what became of it -> Row 2 is marked as sent, and Kafka has refused it
import threading

NEXT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id LIMIT 1"


def relay(database, producer):
    while row := database.execute(NEXT).fetchone():
        number, topic, key, value = row
        done = threading.Event()
        producer.send(topic, value, key).add_both(lambda _, done=done: done.set())
        done.wait()
        with database:
            database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
