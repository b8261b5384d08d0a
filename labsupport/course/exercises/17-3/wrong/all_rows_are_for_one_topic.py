# all rows are for one topic -> no row of the outbox for it
SELECT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id"


def mark(database, number):
    with database:
        database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))


def relay(database, producer):
    rows = database.execute(SELECT).fetchall()
    for number, _, key, value in rows:
        producer.send(rows[0][1], value, key).get(timeout=10)
        mark(database, number)
