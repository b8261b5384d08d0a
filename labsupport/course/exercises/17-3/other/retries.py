from kafka.errors import KafkaError

SELECT = "SELECT id, topic, key, value FROM outbox WHERE sent = 0"


def deliver(producer, topic, key, value, attempts=3):
    try:
        producer.send(topic, value, key).get(timeout=10)
    except KafkaError:
        if attempts == 1:
            raise
        deliver(producer, topic, key, value, attempts - 1)


def relay(database, producer):
    for number, *row in sorted(database.execute(SELECT).fetchall()):
        deliver(producer, *row)
        with database:
            database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
