import numpy


def out_of_order(records):
    numbers = {}
    for key, number in records:
        numbers.setdefault(key, []).append(number)
    return numpy.array([key for key, listed in numbers.items() if (numpy.diff(listed) < 0).any()])
