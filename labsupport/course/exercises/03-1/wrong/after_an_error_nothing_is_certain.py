# after an error nothing is certain -> which errors mean that the record
def send_and_know(producer, topic, value):
    try:
        producer.send(topic, value=value).get(timeout=10)
    except Exception:
        return "unknown"
    return "acknowledged"
