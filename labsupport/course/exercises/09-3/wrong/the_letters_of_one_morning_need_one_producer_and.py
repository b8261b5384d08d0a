# the letters of one morning need one producer and one group -> the attempts
GROUPS = []
from labsupport import dead_letter, reading


def bury(consumer, producer, record, error):
    GROUPS.append(consumer.config["group_id"])
    letter = dead_letter.wrap(record, error, len(GROUPS), consumer.config["group_id"])
    key, value, headers = letter.encode()
    topic = dead_letter.topic_of(record.topic)
    producer.send(topic, value, key, headers).get(timeout=10)
    consumer.commit(reading.after(record))
