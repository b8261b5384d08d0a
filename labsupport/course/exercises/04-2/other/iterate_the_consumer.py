def consume(consumer, handle):
    from labsupport import reading

    for record in consumer:
        handle(record)
        consumer.commit(reading.after(record))
