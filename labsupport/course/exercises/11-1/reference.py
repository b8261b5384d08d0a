def go_back(consumer, incident):
    """The offset at which the group should continue, by partition."""
    at = int(incident.timestamp() * 1000)
    begins = consumer.beginning_offsets(list(consumer.assignment()))
    places = {}
    for place, found in consumer.offsets_for_times(dict.fromkeys(begins, at)).items():
        done = max(consumer.committed(place) or 0, begins[place])
        places[place.partition] = min(done, found.offset) if found else done
    return places
