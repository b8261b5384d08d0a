# a row that is sent is no longer needed -> Your code raised
def relay(database, producer):
    query = "SELECT id, topic, key, value FROM outbox ORDER BY id"
    for number, topic, key, value in database.execute(query).fetchall():
        producer.send(topic, value, key).get(timeout=10)
        with database:
            database.execute("DELETE FROM outbox WHERE number = ?", (number,))
