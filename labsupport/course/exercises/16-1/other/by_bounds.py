import math


def judge_again(order, limit):
    low, high = -math.inf, math.inf  # low < amount <= high
    if "amount" in order:
        low, high = order["amount"] - 1, order["amount"]
    elif "limit" in order:
        low, high = (order["limit"], high) if order["risky"] else (low, order["limit"])
    if low >= limit:
        return True
    return False if high <= limit else None
