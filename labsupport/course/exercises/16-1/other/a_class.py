from math import inf


class Between:
    def __init__(self, least, most):
        self.least, self.most = least, most

    def above(self, limit):
        return True if self.least > limit else False if self.most <= limit else None


def judge_again(order, limit):
    amount, old = order.get("amount"), order.get("limit")
    if amount is None and old is None:
        return None
    if amount is None:
        amounts = Between(old + 1, inf) if order["risky"] else Between(1, old)
    else:
        amounts = Between(amount, amount)
    return amounts.above(limit)
