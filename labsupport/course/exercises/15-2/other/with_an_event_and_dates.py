from datetime import datetime, timedelta
from threading import Event


def wait_for(sent, group, committed, limit):
    end = datetime.now() + timedelta(seconds=limit)
    pause, found = Event(), None
    while found is None:
        for (topic, partition), offset in committed(group).items():
            if (topic, partition) == (sent.topic, sent.partition) and offset >= sent.offset + 1:
                found = True
        if found is None and datetime.now() >= end:
            found = False
        pause.wait(0.05)
    return found
