# the program remembers what it has sent -> does not see sent = 1
SENT = set()


def relay(database, producer):
    query = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"
    for number, topic, key, value in database.execute(query).fetchall():
        if value not in SENT:
            producer.send(topic, value, key).get(timeout=10)
            SENT.add(value)
