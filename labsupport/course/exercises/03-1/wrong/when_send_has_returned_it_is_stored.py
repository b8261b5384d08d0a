# when send() has returned, it is stored -> do you wait for the outcome
def send_and_know(producer, topic, value):
    try:
        producer.send(topic, value=value)
    except Exception:
        return "failed"
    return "acknowledged"
