# an array of words -> one of the four words
import numpy


def advise(state):
    return numpy.array(["fine", "refuses"]), set()
