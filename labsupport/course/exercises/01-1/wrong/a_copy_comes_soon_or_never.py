# a copy comes soon, or never -> has still happened once
from collections import deque


def happenings(events):
    last, count = deque(maxlen=50), 0
    for event in events:
        count += event.event_id not in last
        last.append(event.event_id)
    return count
