# the newest first -> in the order 300, 20, 9
def relay(database, producer):
    query = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id DESC"
    for number, topic, key, value in database.execute(query).fetchall():
        producer.send(topic, value, key).get(timeout=10)
        with database:
            database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
