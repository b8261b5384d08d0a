# one offset holds for all partitions -> read again needlessly
from datetime import UTC


def go_back(consumer, incident):
    at = int(incident.timestamp() * 1000)
    found = consumer.offsets_for_times({place: at for place in consumer.assignment()})
    first = min(f.offset for f in found.values() if f)
    return {place.partition: first for place in found}
