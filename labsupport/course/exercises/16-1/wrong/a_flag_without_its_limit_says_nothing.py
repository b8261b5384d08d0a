# a flag without its limit says nothing, whatever stands beside it -> The amount is known
def judge_again(order, limit):
    if "risky" in order and "limit" not in order:
        return None
    if "amount" in order:
        return order["amount"] > limit
    if order["risky"]:
        return True if limit <= order["limit"] else None
    return False if limit >= order["limit"] else None
