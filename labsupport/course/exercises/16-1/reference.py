def judge_again(order, limit):
    """Whether the order is risky by this limit; None if the event cannot tell."""
    if "amount" in order:
        return order["amount"] > limit
    if "limit" not in order:
        return None
    if order["risky"]:  # the amount is above the old limit
        return True if limit <= order["limit"] else None
    return False if limit >= order["limit"] else None  # the amount is at most the old limit
