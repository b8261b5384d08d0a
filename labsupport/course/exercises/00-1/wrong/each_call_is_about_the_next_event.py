# each call is about the next event -> stored event number 12 at offset 11
from itertools import count

numbers = count()


def offset_of(nth):
    return next(numbers)
