# any mark will do -> does not see sent = 1
SELECT = "SELECT id, topic, key, value FROM outbox WHERE sent = 0 ORDER BY id"


def relay(database, producer):
    for number, topic, key, value in database.execute(SELECT).fetchall():
        producer.send(topic, value, key).get(timeout=10)
        with database:
            database.execute("UPDATE outbox SET sent = datetime('now') WHERE id = ?", (number,))
