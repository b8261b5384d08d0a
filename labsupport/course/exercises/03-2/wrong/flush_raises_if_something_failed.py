# flush() raises if something failed -> a refusal can come at once
def send_all(producer, topic, values, limit):
    failed = []
    for number, value in enumerate(values, 1):
        try:
            producer.send(topic, value=value)
            if number % limit == 0:
                producer.flush(timeout=60)
        except Exception:
            failed.append(value)
    producer.flush(timeout=60)
    return failed
