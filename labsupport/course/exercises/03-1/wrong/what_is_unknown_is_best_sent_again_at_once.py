# what is unknown is best sent again at once -> sent the record 2 times
def send_and_know(producer, topic, value):
    for _ in range(2):
        try:
            producer.send(topic, value=value).get(timeout=10)
        except Exception:
            result = "failed"
        else:
            result = "acknowledged"
    return result
