# Kafka keeps the order without a key -> a record without a key goes to any partition
def key_of(event):
    return None
