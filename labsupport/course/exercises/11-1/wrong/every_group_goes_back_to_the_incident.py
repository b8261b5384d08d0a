# every group goes back to the incident -> was never processed, and is skipped now
from datetime import UTC


def go_back(consumer, incident):
    at = int(incident.timestamp() * 1000)
    found = consumer.offsets_for_times({place: at for place in consumer.assignment()})
    begins = consumer.beginning_offsets(list(found))
    done = {place: max(consumer.committed(place) or 0, begins[place]) for place in found}
    return {p.partition: f.offset if f else done[p] for p, f in found.items()}
