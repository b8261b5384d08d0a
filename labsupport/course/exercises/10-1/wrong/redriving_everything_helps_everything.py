# redriving everything helps everything -> would become a dead letter again
from labsupport import Event, EventError


def to_redrive(letters):
    return letters
