# one transaction for all rows is quicker -> nobody else could write
def relay(database, producer):
    query = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"
    with database:
        for number, topic, key, value in database.execute(query).fetchall():
            producer.send(topic, value, key).get(timeout=10)
            database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
