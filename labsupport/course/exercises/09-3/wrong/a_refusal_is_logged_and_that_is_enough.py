# a refusal is logged, and that is enough -> your code waited, and the broker refused
from labsupport import dead_letter, reading


def bury(consumer, producer, record, error):
    letter = dead_letter.wrap(record, error, 1, consumer.config["group_id"])
    key, value, headers = letter.encode()
    topic = dead_letter.topic_of(record.topic)
    sending = producer.send(topic, value, key, headers)
    try:
        sending.get(timeout=10)
    except Exception as problem:
        print(problem)
    consumer.commit(reading.after(record))
