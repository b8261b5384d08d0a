# no two values are equal -> with 8 values
def send_all(producer, topic, values, limit):
    waiting, failed = {}, []

    def settle():
        value = next(iter(waiting))
        try:
            waiting.pop(value).get(timeout=60)
        except Exception:
            failed.append(value)

    for value in values:
        if len(waiting) == limit:
            settle()
        try:
            waiting[value] = producer.send(topic, value=value)
        except Exception:
            failed.append(value)
    while waiting:
        settle()
    return failed
