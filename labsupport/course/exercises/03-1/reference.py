from kafka.errors import MessageSizeTooLargeError


def send_and_know(producer, topic, value):
    """Send once: 'acknowledged', 'failed' or 'unknown'."""
    try:
        sending = producer.send(topic, value=value)
    except Exception:
        return "failed"
    try:
        sending.get(timeout=120)
    except MessageSizeTooLargeError:
        return "failed"
    except Exception:
        return "unknown"
    return "acknowledged"
