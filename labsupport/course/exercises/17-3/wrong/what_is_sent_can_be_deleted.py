# what is sent can be deleted -> no longer in the outbox
def relay(database, producer):
    query = "SELECT id, topic, key, value FROM outbox ORDER BY id"
    for number, topic, key, value in database.execute(query).fetchall():
        producer.send(topic, value, key).get(timeout=10)
        with database:
            database.execute("DELETE FROM outbox WHERE id = ?", (number,))
