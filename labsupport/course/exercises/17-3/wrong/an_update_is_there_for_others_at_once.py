# an UPDATE is there for others at once -> does not see sent = 1
def relay(database, producer):
    query = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"
    for number, topic, key, value in database.execute(query).fetchall():
        producer.send(topic, value, key).get(timeout=10)
    database.execute("UPDATE outbox SET sent = 1")
