# a transaction around both makes them one step -> nobody else could write
def relay(database, producer):
    query = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"
    for number, topic, key, value in database.execute(query).fetchall():
        with database:
            database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
            producer.send(topic, value, key).get(timeout=10)
