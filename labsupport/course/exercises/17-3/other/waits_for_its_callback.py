import threading

NEXT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id LIMIT 1"
one_at_a_time = threading.Lock()
failures = []


def relay(database, producer):
    with one_at_a_time:
        while row := database.execute(NEXT).fetchone():
            number, topic, key, value = row
            arrived = threading.Event()
            failures.clear()

            def failed(error, arrived=arrived):
                failures.append(error)
                arrived.set()

            sending = producer.send(topic, value, key)
            sending.add_callback(lambda _, arrived=arrived: arrived.set())
            sending.add_errback(failed)
            arrived.wait()
            if failures:
                raise failures[0]
            with database:
                database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
