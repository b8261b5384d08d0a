# no answer means nothing committed -> consumer.committed raised an error
from datetime import UTC


def go_back(consumer, incident):
    def asked(place):
        try:
            return consumer.committed(place)
        except Exception:
            return None

    at = int(incident.timestamp() * 1000)
    found = consumer.offsets_for_times({place: at for place in consumer.assignment()})
    begins = consumer.beginning_offsets(list(found))
    done = {place: max(asked(place) or 0, begins[place]) for place in found}
    return {p.partition: min(f.offset, done[p]) if f else done[p] for p, f in found.items()}
