import numpy


def judge_again(order, limit):
    if order.get("amount") is not None:
        return numpy.greater(order["amount"], limit)
    old = order.get("limit")
    if old is None or (order["risky"] and old < limit) or (not order["risky"] and old > limit):
        return None
    return numpy.bool_(order["risky"])
