# the highest id that was sent says where to go on -> Row 25 is not in the topic
def relay(database, producer):
    (last,) = database.execute("SELECT coalesce(max(id), 0) FROM outbox WHERE sent").fetchone()
    query = "SELECT id, topic, key, value FROM outbox WHERE id > ? ORDER BY id"
    for number, topic, key, value in database.execute(query, (last,)).fetchall():
        producer.send(topic, value, key).get(timeout=10)
        with database:
            database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
