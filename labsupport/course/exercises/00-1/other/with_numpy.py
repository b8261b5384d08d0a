import numpy


def offset_of(nth):
    return numpy.arange(nth)[-1]
