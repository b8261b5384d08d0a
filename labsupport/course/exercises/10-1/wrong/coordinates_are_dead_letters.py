# coordinates are dead letters -> not one of the given dead letters
from labsupport import Event, EventError


def to_redrive(letters):
    return [e.coordinates for e in letters]
