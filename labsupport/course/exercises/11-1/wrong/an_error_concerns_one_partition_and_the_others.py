# an error concerns one partition, and the others go on -> has no offset for partition
from datetime import UTC


def go_back(consumer, incident):
    at = int(incident.timestamp() * 1000)
    found = consumer.offsets_for_times({place: at for place in consumer.assignment()})
    begins = consumer.beginning_offsets(list(found))
    done = {place: max(consumer.committed(place) or 0, begins[place]) for place in found}
    places = {}
    for p, f in found.items():
        try:
            places[p.partition] = min(f.offset, done[p])
        except AttributeError:
            pass
    return places
