import threading
from kafka.errors import MessageSizeTooLargeError


def send_and_know(producer, topic, value):
    if not isinstance(value, bytes):
        return "failed"
    known, said = threading.Event(), []
    try:
        sending = producer.send(topic, value=value)
    except Exception:
        return "failed"
    sending.add_both(lambda *_: known.set())
    known.wait()
    error = sending.exception
    if error is None:
        return "acknowledged"
    return "failed" if isinstance(error, MessageSizeTooLargeError) else "unknown"
