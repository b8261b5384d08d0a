# the last call's offsets still hold -> Partition
from datetime import UTC


def go_back(consumer, incident, places={}):
    at = int(incident.timestamp() * 1000)
    found = consumer.offsets_for_times({place: at for place in consumer.assignment()})
    begins = consumer.beginning_offsets(list(found))
    done = {place: max(consumer.committed(place) or 0, begins[place]) for place in found}
    for p, f in found.items():
        places.setdefault(p.partition, min(f.offset, done[p]) if f else done[p])
    return places
