from kafka.errors import KafkaError


def send_all(producer, topic, values, limit):
    failed = []
    for begin in range(0, len(values), limit):
        sent = []
        for value in values[begin : begin + limit]:
            try:
                sent.append((value, producer.send(topic, value)))
            except KafkaError:
                failed.append(value)
        producer.flush()
        failed += [value for value, sending in sent if sending.failed()]
    return failed
