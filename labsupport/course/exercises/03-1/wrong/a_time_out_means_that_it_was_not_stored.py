# a time-out means that it was not stored -> the topic holds it 1 time
def send_and_know(producer, topic, value):
    try:
        producer.send(topic, value=value).get(timeout=60)
    except Exception:
        return "failed"
    return "acknowledged"
