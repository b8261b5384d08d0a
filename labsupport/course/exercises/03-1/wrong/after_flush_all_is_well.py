# after flush() all is well -> is not stored, for certain
def send_and_know(producer, topic, value):
    try:
        producer.send(topic, value=value)
        producer.flush(timeout=10)
    except Exception:
        return "failed"
    return "acknowledged"
