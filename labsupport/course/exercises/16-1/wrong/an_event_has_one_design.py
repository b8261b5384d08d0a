# an event has one design -> The amount is known
def judge_again(order, limit):
    if set(order) == {"amount"} or len(order) == 3:
        return order["amount"] > limit
    if set(order) != {"risky", "limit"}:
        return None
    if order["risky"]:
        return True if limit <= order["limit"] else None
    return False if limit >= order["limit"] else None
