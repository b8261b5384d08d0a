import os
import sqlite3
import time

NEXT = "SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id LIMIT 1"
LOG = open(os.devnull, "w")
STATISTICS = sqlite3.connect(":memory:", check_same_thread=False)


def relay(database, producer):
    STATISTICS.execute("CREATE TABLE IF NOT EXISTS relayed (id)")
    while row := database.execute(NEXT).fetchone():
        number, topic, key, value = row
        outcome = []
        sending = producer.send(topic, value, key)
        sending.add_both(outcome.append)
        while not outcome:
            time.sleep(0.01)
        sending.get(timeout=10)  # raises what Kafka refused
        with database:
            database.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (number,))
        STATISTICS.execute("INSERT INTO relayed VALUES (?)", (number,))
        print("relayed", number, file=LOG)
