# without a limit the flag holds -> by a limit that nobody knows
def judge_again(order, limit):
    if "amount" in order:
        return order["amount"] > limit
    old = order.get("limit", limit)
    if order["risky"]:
        return True if limit <= old else None
    return False if limit >= old else None
