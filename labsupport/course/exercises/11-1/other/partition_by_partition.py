import math


def go_back(consumer, incident):
    result = {}
    for place in consumer.assignment():
        (begin,) = consumer.beginning_offsets([place]).values()
        result[place.partition] = max(begin, consumer.committed(place) or begin)
        at = math.ceil(incident.timestamp() * 1000)
        if (found := consumer.offsets_for_times({place: at})[place]) is not None:
            result[place.partition] = min(result[place.partition], found.offset)
    return result
