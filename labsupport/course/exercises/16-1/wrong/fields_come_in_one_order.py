# fields come in one order -> every order with this event
def judge_again(order, limit):
    if "amount" in order:
        return order["amount"] > limit
    if len(order) < 2:
        return None
    risky, old = order.values()
    if risky:
        return True if limit <= old else None
    return False if limit >= old else None
