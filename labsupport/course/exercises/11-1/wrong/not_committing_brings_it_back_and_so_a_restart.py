# not committing brings it back, and so a restart is enough -> is not older than the incident, and is not read again
from datetime import UTC


def go_back(consumer, incident):
    found = consumer.assignment()
    begins = consumer.beginning_offsets(list(found))
    done = {place: max(consumer.committed(place) or 0, begins[place]) for place in found}
    return {p.partition: done[p] for p in found}
