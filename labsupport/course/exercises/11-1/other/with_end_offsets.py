import numpy
from datetime import UTC


def go_back(consumer, incident):
    at = int(incident.timestamp() * 1000)
    found = consumer.offsets_for_times({place: at for place in consumer.assignment()})
    begins = consumer.beginning_offsets(list(found))
    done = {place: max(consumer.committed(place) or 0, begins[place]) for place in found}
    try:
        ends = consumer.end_offsets(list(found))
    except Exception:
        ends = consumer.end_offsets(list(found))
    return {place: numpy.int64(min(f.offset if f else ends[place], done[place])) for place, f in found.items()}
