def send_and_know(producer, topic, value):
    sending = None
    try:
        sending = producer.send(topic, value=value)
        sending.get()
        return "acknowledged"
    except Exception as error:
        return "unknown" if sending and getattr(error, "retriable", True) else "failed"
