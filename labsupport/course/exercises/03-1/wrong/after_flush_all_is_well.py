# after flush() all is well -> certainly not stored
def send_and_know(producer, topic, value):
    try:
        producer.send(topic, value=value)
        producer.flush(timeout=10)
    except Exception:
        return "failed"
    return "acknowledged"
