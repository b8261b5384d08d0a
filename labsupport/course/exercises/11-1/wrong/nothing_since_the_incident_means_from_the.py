# nothing since the incident means: from the beginning -> read again needlessly
from datetime import UTC


def go_back(consumer, incident):
    at = int(incident.timestamp() * 1000)
    found = consumer.offsets_for_times({place: at for place in consumer.assignment()})
    begins = consumer.beginning_offsets(list(found))
    done = {place: max(consumer.committed(place) or 0, begins[place]) for place in found}
    return {p.partition: min(f.offset, done[p]) if f else begins[p] for p, f in found.items()}
