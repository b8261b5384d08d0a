# what is committed is still there -> the log begins at 2 and has no 1
from datetime import UTC


def go_back(consumer, incident):
    at = int(incident.timestamp() * 1000)
    found = consumer.offsets_for_times({place: at for place in consumer.assignment()})
    begins = consumer.beginning_offsets(list(found))
    done = {place: begins[place] if consumer.committed(place) is None else consumer.committed(place) for place in found}
    return {p.partition: min(f.offset, done[p]) if f else done[p] for p, f in found.items()}
