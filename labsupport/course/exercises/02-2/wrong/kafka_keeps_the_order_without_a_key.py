# Kafka keeps the order without a key -> without a key can go to any partition
def key_of(event):
    return None
