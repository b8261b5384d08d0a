from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    for record in reading.to_the_end(consumer):
        errors = []

        def work(record=record):
            try:
                slow(record)
            except Exception as error:
                errors.append(error)

        thread = Thread(target=work)
        thread.start()
        consumer.pause(*consumer.assignment())
        while thread.is_alive():
            assert not consumer.poll(timeout_ms=200)
        consumer.resume(*consumer.assignment())
        if errors:
            raise errors[0]
        consumer.commit(reading.after(record))
