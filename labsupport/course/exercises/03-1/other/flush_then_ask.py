from kafka.errors import MessageSizeTooLargeError


def send_and_know(producer, topic, value):
    try:
        sending = producer.send(topic, value)
    except Exception:
        return "failed"
    producer.flush(timeout=60)
    if sending.succeeded():
        return "acknowledged"
    refused = isinstance(sending.exception, MessageSizeTooLargeError)
    return "failed" if refused else "unknown"
