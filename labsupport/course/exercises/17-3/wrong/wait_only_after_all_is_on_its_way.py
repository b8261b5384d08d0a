# wait only after all is on its way -> Row 3 went although
SELECT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"


def mark(database, number):
    with database:
        database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))


def relay(database, producer):
    rows = database.execute(SELECT).fetchall()
    sent = [(number, producer.send(topic, value, key)) for number, topic, key, value in rows]
    for number, sending in sent:
        sending.get(timeout=10)
        mark(database, number)
