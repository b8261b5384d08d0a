import sqlite3


class Relay:
    def __call__(self, database, producer):
        rows = sqlite3.Cursor(database)
        while self.one(rows, producer):
            database.commit()

    def one(self, rows, producer):
        rows.execute("SELECT min(id) FROM outbox WHERE sent = 0")
        (number,) = rows.fetchone()
        if number is None:
            return False
        (topic, key, value), *_ = rows.execute("SELECT topic, key, value FROM outbox WHERE id = ?", (number,))
        producer.send(topic, key=key, value=value).get(10)
        rows.execute("UPDATE outbox SET sent = sent + 1 WHERE id = ?", (number,))
        return True


relay = Relay()
