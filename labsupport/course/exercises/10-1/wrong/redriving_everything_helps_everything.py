# redriving everything helps everything -> would be a dead letter again
from labsupport import Event, EventError


def to_redrive(letters):
    return letters
