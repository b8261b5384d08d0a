# a table has an order -> in the order 300, 9, 20
def relay(database, producer):
    query = "SELECT id, topic, key, value FROM outbox WHERE NOT sent"
    for number, topic, key, value in database.execute(query).fetchall():
        producer.send(topic, value, key).get(timeout=10)
        with database:
            database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
