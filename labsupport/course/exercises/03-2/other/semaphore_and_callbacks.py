import threading


def send_all(producer, topic, values, limit):
    free, failed = threading.Semaphore(limit), []
    for value in values:
        free.acquire()

        def done(_, value=None):
            if value is not None:
                failed.append(value)
            free.release()

        try:
            sending = producer.send(topic, value=value)
        except Exception:
            done(None, value=value)
        else:
            sending.add_callback(done).add_errback(done, value=value)
    for _ in range(limit):
        free.acquire()
    return failed
