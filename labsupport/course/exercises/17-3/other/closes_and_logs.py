import logging
from contextlib import closing

NEXT = "SELECT min(id), topic, key, value FROM outbox WHERE sent = 0"
log = logging.getLogger("relay")


def relay(database, producer):
    with closing(database):
        while True:
            number, topic, key, value = database.execute(NEXT).fetchone()
            if number is None:
                return
            sending = producer.send(topic, value, key)
            sending.add_errback(lambda error, number=number: log.debug("row %s: %s", number, error))
            sending.get(timeout=10)
            database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
            database.commit()
