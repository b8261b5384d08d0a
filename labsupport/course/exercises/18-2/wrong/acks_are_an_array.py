# acks are an array -> acks is 1 or
import numpy


def settings(brokers, keep, write):
    if keep + 1 + write > brokers:
        return None
    return {"copies": keep + 1 + write, "min_isr": keep + 1, "acks": numpy.array([1, 1]), "unclean": False}
